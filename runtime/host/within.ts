import type { KeyfoldError } from "../errors.ts";

/** What `work` resolves to, or the error when that takes longer. */
export async function within<T>(work: Promise<T>, ms: number, late: () => KeyfoldError): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
