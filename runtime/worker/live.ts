import { stateJson } from "../task/json.ts";
import type { AssignedTask } from "./assigned-task.ts";

/** `of`: the record's key, as `key` is too but for windows, which have their bounds there. */
export type ChangeListener = (key: string, value: unknown, timestamp: number, of: string) => void;

/** Changes of one turn kept per key; the last one wins, so that a hot key costs its listeners one message a turn. */
interface Pending {
  readonly task: AssignedTask;
  readonly of: string;
  readonly value: unknown;
  readonly timestamp: number;
}

/** Feeds live queries: listens to the query store of functions somebody watches. */
export class LiveFeed {
  readonly #send: (fn: string, keys: string[], bodies: string[]) => void;
  readonly #pending = new Map<string, Map<string, Pending>>();

  constructor(send: (fn: string, keys: string[], bodies: string[]) => void) {
    this.#send = send;
  }

  listen(task: AssignedTask, on: boolean): void {
    task.listen(
      on
        ? (key, value, timestamp, of) => {
            const fn = task.assignment.function;
            let keys = this.#pending.get(fn);
            if (keys === undefined) this.#pending.set(fn, (keys = new Map()));
            keys.set(key, { task, of, value, timestamp });
          }
        : undefined,
    );
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    for (const [fn, changes] of this.#pending) {
      const keys: string[] = [];
      const bodies: string[] = [];
      for (const [key, { task, of, value, timestamp }] of changes) {
        keys.push(of);
        bodies.push(
          `{"key":${JSON.stringify(key)},"value":${value === undefined ? "null" : stateJson(value)},"timestamp":${timestamp},"partition":${task.assignment.partition},"offset":${task.position - 1}}`,
        );
      }
      this.#send(fn, keys, bodies);
    }
    this.#pending.clear();
  }
}
