import { KeyfoldError } from "../errors.ts";
import { Client, notKeyfold } from "../http/client.ts";
import { PROBLEM_TYPE } from "../http/problem.ts";
import { type CommandContext, type Option, textOption } from "./command.ts";
import { usageError } from "./usage.ts";

/** Options of every command that asks a running host. */
export const CLIENT_OPTIONS: readonly Option[] = [
  { flags: "--url <url>", summary: "public listener of the host", default: "http://127.0.0.1:8787" },
  { flags: "--internal-url <url>", summary: "internal listener of the host", default: "http://127.0.0.1:8788" },
];

/** The client of the host the command was pointed at. It says so plainly (`host-unreachable`) when none answers there. */
export function hostClient({ options, environment }: CommandContext): Client {
  const url = checked(textOption(options, "url") ?? environment["KEYFOLD_URL"] ?? "http://127.0.0.1:8787", "--url");
  const internalUrl = checked(
    textOption(options, "internalUrl") ?? environment["KEYFOLD_INTERNAL_URL"] ?? "http://127.0.0.1:8788",
    "--internal-url",
  );
  const token = environment["KEYFOLD_TOKEN"];
  return new Client({ url, internalUrl, fetch: (input, init) => reach(input, init, internalUrl), ...(token ? { token } : {}) });
}

/** What a stream's end without a word means. */
export function brokenStream(cause: unknown): KeyfoldError {
  if (cause instanceof KeyfoldError) return cause;
  return new KeyfoldError("host-unreachable", "the host ended the stream: it has stopped, or the connection broke", {
    cause,
    remedy: "retry",
  });
}

/** A host answers within this, be it that it took too long: its own limit on waiting is `limits["wait.max.ms"]`, 30 s. */
const ANSWER_MS = 60_000;

/** A host's answer, or `undefined` when none has begun in time. Some fetches of Node 20 never settle, when a server hangs up at once. */
async function answer(input: Parameters<typeof fetch>[0], init: RequestInit | undefined): Promise<Response | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ANSWER_MS, undefined)));
  try {
    return await Promise.race([fetch(input, init), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function reach(input: Parameters<typeof fetch>[0], init: RequestInit | undefined, internalUrl: string): Promise<Response> {
  const { origin } = new URL(input instanceof Request ? input.url : input);
  let response: Response | undefined;
  try {
    response = await answer(input, init);
    if (response === undefined) throw new Error("", { cause: new Error(`no answer in ${ANSWER_MS / 1000} s`) });
  } catch (cause) {
    if (init?.signal?.aborted) throw cause;
    throw unreachable(
      origin,
      origin === new URL(internalUrl).origin ? "--internal-url (or KEYFOLD_INTERNAL_URL)" : "--url (or KEYFOLD_URL)",
      cause,
    );
  }
  const type = response.headers.get("content-type") ?? "";
  // What a host refuses it refuses with a problem document.
  if (response.ok ? /json|ndjson|event-stream/.test(type) : type.startsWith(PROBLEM_TYPE)) return response;
  await response.body?.cancel();
  throw notKeyfold(origin, `status ${response.status}, ${type || "no content type"}`);
}

function unreachable(origin: string, option: string, cause: unknown): KeyfoldError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? (cause.cause as NodeJS.ErrnoException) : undefined;
  const reason = inner === undefined ? "" : ` (${inner.message || inner.code})`;
  return new KeyfoldError(
    "host-unreachable",
    `no host answers at ${origin}${reason}\nStart one with \`keyfold dev\` or \`keyfold start\`, or say where it is with ${option}.`,
    { cause, remedy: "retry", details: { url: origin } },
  );
}

function checked(url: string, option: string): string {
  if (/^https?:\/\/./.test(url) && URL.canParse(url)) return url;
  throw usageError(`${option}: ${JSON.stringify(url)} is not a URL such as "http://127.0.0.1:8787"`);
}
