import { KeyfoldError } from "../errors.ts";

const givenUp = (): KeyfoldError => new KeyfoldError("not-ready", "the task was given up", { remedy: "retry" });

/** The result of `work`, unless the signal comes first: a log may try for long what nobody needs any more. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, why = givenUp): Promise<T> {
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(why());
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    // What it comes to after that is nobody's business.
    work.catch(() => {});
  }
}
