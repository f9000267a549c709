import { KeyfoldError } from "../errors.ts";
import type { TaskStore } from "../state/store.ts";
import { readKey } from "../state/windowed/read.ts";
import type { RecordFailure } from "../task/failure.ts";
import { stateJson } from "../task/json.ts";
import type { RecordContext } from "../topology/topology.ts";

/** What an invoke is answered: the JSON text of the state right after the record, or why it cannot be said. */
export function answerJson(
  { partition, offset }: RecordContext,
  key: string | null,
  store: TaskStore | undefined,
  version: string,
): string | KeyfoldError {
  try {
    const entry = store === undefined || key === null ? undefined : readKey(store, key);
    const value = entry === undefined ? "null" : stateJson(entry.value);
    return `{"key":${JSON.stringify(key)},"value":${value},"timestamp":${entry?.timestamp ?? null},"partition":${partition},"offset":${offset},"version":"${version}"}`;
  } catch (thrown) {
    return KeyfoldError.from(thrown, "state-unstorable", "user");
  }
}

/** What an invoke is answered whose event was given up. */
export function refusal(fn: string, failure: RecordFailure, record: { topic: string; partition: number; offset: number }): KeyfoldError {
  // Our own errors say what went wrong without the name of their class; others' is half of what they say.
  const name = failure.name === "KeyfoldError" ? "" : `${failure.name}: `;
  return new KeyfoldError(
    failure.code,
    `function ${fn} refused the event: ${name}${failure.message.replace(/\.$/, "")}; it is in the dead-letter topic`,
    {
      details: { topic: record.topic, partition: record.partition, offset: record.offset },
    },
  );
}
