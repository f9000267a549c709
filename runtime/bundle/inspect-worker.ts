import { parentPort } from "node:worker_threads";
import { type ErrorWire, KeyfoldError } from "../errors.ts";
import { type DescribeOptions, type Description, describe } from "./describe.ts";

/** Main thread → inspect worker: import this bundle and say what it is. One at a time. */
export interface InspectRequest {
  /** URL of the bundle. */
  readonly bundle: string;
  readonly options: DescribeOptions;
}

export interface InspectAnswer {
  readonly description?: Description;
  readonly error?: ErrorWire;
}

if (parentPort === null) throw new Error("this file is a worker's entry; the bundler starts it");
const parent = parentPort;

parent.on("message", ({ bundle, options }: InspectRequest) => {
  inspect(bundle, options).then(
    (description) => parent.postMessage({ description } satisfies InspectAnswer),
    (thrown: unknown) => parent.postMessage({ error: toWire(thrown) } satisfies InspectAnswer),
  );
});

async function inspect(bundle: string, options: DescribeOptions): Promise<Description> {
  return describe((await import(bundle)) as { default?: unknown; routes?: unknown }, options);
}

/** User code may throw anything. The stack is kept, to find the line in the sources. */
function toWire(thrown: unknown): ErrorWire {
  if (thrown instanceof KeyfoldError) return thrown.toWire();
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  // A bundle carries a copy of keyfold, so its errors are of another class.
  const ours = error.name === "KeyfoldError" && "code" in error;
  return {
    code: ours ? (error.code as ErrorWire["code"]) : "build-failed",
    message: error.message,
    remedy: "user",
    details: { threw: error.name },
    stack: error.stack ?? "",
  };
}
