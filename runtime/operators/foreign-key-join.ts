import { createHash } from "node:crypto";
import type { JoinFn, ValueFn } from "../define/graph.ts";
import type { TaskStore } from "../state/store.ts";
import type { Codec, TaskContext } from "../topology/topology.ts";
import type { RowWriter } from "./rows.ts";
import { checkedKey, orNull } from "./stateless.ts";
import type { RowView, StreamTarget, TableTarget } from "./targets.ts";

/**
 * A foreign-key join works in three parts, with a topic between each two, because rows that belong together live in
 * different partitions:
 *
 *   left update ──(subscription topic, by foreign key)──▶ subscriptions + right row ──(response topic, by left key)──▶ result
 *   right update ─────────────────────────────────────▶ to every subscription ────────────┘
 *
 * A response names the left row it is for by a hash; one that comes after the row has changed again is dropped.
 */
type Instruction =
  /** Subscribe; respond only when there is a right row. */
  | "if-found"
  /** Subscribe; respond with null when there is none. */
  | "always"
  /** Unsubscribe; respond with null. */
  | "delete"
  /** Unsubscribe silently: another foreign key responds. */
  | "forget";

type Subscription = readonly [instruction: Instruction, leftKey: string, hash: string];
type Response = readonly [hash: string, right: unknown];

const NO_ROW = "";

export interface ForeignKeyTopics {
  readonly subscription: string;
  readonly response: string;
  readonly codec: Codec;
}

/** Left updates: who points to whom. */
export function subscribe(
  context: TaskContext,
  how: "inner" | "left",
  foreignKey: ValueFn,
  topics: ForeignKeyTopics,
  respond: StreamTarget,
): TableTarget {
  const keyOf = (row: unknown, key: string): string | null => (row === null ? null : checkedKey(foreignKey(row, key), "joinBy"));
  return {
    update(key, row, old, timestamp, latest) {
      if (!latest) {
        context.dropped("late");
        return;
      }
      if (row === null && old === null) return;
      const before = keyOf(old, key);
      const now = keyOf(row, key);
      const hash = rowHash(topics.codec, row);
      const send = (to: string, instruction: Instruction): void =>
        context.emit(topics.subscription, topics.codec, to, [instruction, key, hash] satisfies Subscription, timestamp);
      // With no foreign key there is nothing to look up: the response is made here.
      const respondNull = (): void => respond.process(key, [hash, null] satisfies Response, timestamp);
      if (row === null) {
        if (before !== null) send(before, "delete");
        else if (how === "left") respondNull();
        else context.dropped("null-key");
        return;
      }
      if (now === null) {
        if (how === "left") {
          if (before !== null) send(before, "forget");
          respondNull();
        } else if (before !== null) send(before, "delete");
        else context.dropped("null-key");
        return;
      }
      const moved = before !== null && before !== now;
      if (moved) send(before, "forget");
      send(now, how === "left" || moved ? "always" : "if-found");
    },
  };
}

/** Where the right rows are: keeps who points to them, and answers with the row. */
export function answerSubscriptions(context: TaskContext, subscriptions: TaskStore, rows: RowView, topics: ForeignKeyTopics): StreamTarget {
  return {
    process(foreignKey, message, timestamp) {
      if (foreignKey === null || message === null) return;
      const [instruction, leftKey, hash] = message as Subscription;
      const at = subscriptionKey(foreignKey, leftKey);
      if (instruction === "delete" || instruction === "forget") subscriptions.delete(at, timestamp);
      else subscriptions.put(at, hash, timestamp);
      if (instruction === "forget") return;
      const row = rows.get(foreignKey);
      if (row === undefined && instruction === "if-found") return;
      const time = row !== undefined && row.timestamp > timestamp ? row.timestamp : timestamp;
      const right = instruction === "delete" || row === undefined ? null : row.value;
      context.emit(topics.response, topics.codec, leftKey, [hash, right] satisfies Response, time);
    },
  };
}

/** Right updates go to all left rows that point to the row, in key order. */
export function fanOut(context: TaskContext, subscriptions: TaskStore, topics: ForeignKeyTopics): TableTarget {
  return {
    update(foreignKey, row, _old, timestamp, latest) {
      if (!latest) {
        context.dropped("late");
        return;
      }
      const prefix = subscriptionKey(foreignKey, "");
      for (const [at, entry] of subscriptions.prefix(prefix)) {
        context.emit(topics.response, topics.codec, at.slice(prefix.length), [entry.value as string, row] satisfies Response, timestamp);
      }
    },
  };
}

/** Back where the left rows are: the result, unless the left row has changed meanwhile. */
export function joinResponses(
  context: TaskContext,
  how: "inner" | "left",
  fn: JoinFn,
  left: RowView,
  codec: Codec,
  writer: RowWriter,
): StreamTarget {
  return {
    process(key, message, timestamp) {
      if (key === null || message === null) return;
      const [hash, right] = message as Response;
      const row = left.get(key);
      if (rowHash(codec, row === undefined ? null : row.value) !== hash) {
        context.dropped("expired");
        return;
      }
      const none = row === undefined || (right === null && how === "inner");
      writer.write(key, none ? null : orNull(fn(row.value, right, key)), writer.old(key), timestamp);
    },
  };
}

/** The length of the foreign key in front keeps `a` + `bc` and `ab` + `c` apart. */
function subscriptionKey(foreignKey: string, leftKey: string): string {
  return `${foreignKey.length}:${foreignKey}${leftKey}`;
}

function rowHash(codec: Codec, row: unknown): string {
  return row === null ? NO_ROW : createHash("sha1").update(codec.encode(row)).digest("base64");
}
