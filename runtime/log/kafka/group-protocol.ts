import { KeyfoldError } from "../../errors.ts";
import type { TopicPartition } from "../log.ts";
import { byTopic, readTopics } from "./api/api.ts";
import { Reader, Writer } from "./wire.ts";

/** Name of our assignor in the group protocol: members of a group must all name it. */
export const ASSIGNOR = "keyfold";

/** What a member says of itself when it joins. */
export interface Subscription {
  readonly topics: readonly string[];
  readonly capacity: number;
  /** Task ids it has had before. */
  readonly owned: readonly string[];
  /** Anything the host wants all others to know, its URLs for example: plain data. */
  readonly host: unknown;
}

/** What the leader tells each member: its own tasks, and where everything is. */
export interface Assignment {
  readonly tasks: readonly string[];
  readonly partitions: readonly TopicPartition[];
  /** Task id → member id, for all tasks of the group. */
  readonly placement: Readonly<Record<string, string>>;
  /** Member id → what that member's subscription says in `host`. */
  readonly hosts: Readonly<Record<string, unknown>>;
}

/** In the format of Kafka's own consumers, so that its tools can show subscriptions and assignments; what is ours is JSON in the user data. */
export function writeSubscription({ topics, capacity, owned, host }: Subscription): Buffer {
  const writer = new Writer().int16(0);
  writer.array(topics, (w, topic) => {
    w.string(topic);
  });
  return Buffer.from(writer.bytes(Buffer.from(JSON.stringify({ capacity, owned, host }))).view());
}

export function readSubscription(bytes: Buffer, member: string): Subscription {
  return reading(`subscription of ${member}`, () => {
    const reader = new Reader(bytes);
    reader.int16();
    const topics = reader.array((r) => r.text());
    const { capacity, owned, host } = JSON.parse((reader.bytes() ?? Buffer.from("{}")).toString()) as Partial<Subscription>;
    return { topics, capacity: Math.max(1, Math.floor(Number(capacity)) || 1), owned: owned ?? [], host };
  });
}

export function writeAssignment({ tasks, partitions, placement, hosts }: Assignment): Buffer {
  const writer = new Writer().int16(0);
  writer.array(byTopic(partitions), (w, [topic, of]) => {
    w.string(topic).array(of, (_w, { partition }) => {
      w.int32(partition);
    });
  });
  return Buffer.from(writer.bytes(Buffer.from(JSON.stringify({ tasks, placement, hosts }))).view());
}

export function readAssignment(bytes: Buffer): Assignment {
  if (bytes.length === 0) return { tasks: [], partitions: [], placement: {}, hosts: {} };
  return reading("assignment", () => {
    const reader = new Reader(bytes);
    reader.int16();
    const partitions = readTopics(reader, (r, topic) => ({ topic, partition: r.int32() }));
    const { tasks, placement, hosts } = JSON.parse((reader.bytes() ?? Buffer.from("{}")).toString()) as Partial<Assignment>;
    return { tasks: tasks ?? [], partitions, placement: placement ?? {}, hosts: hosts ?? {} };
  });
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new KeyfoldError(
      "log-unavailable",
      `The ${what} in the consumer group cannot be read: a member that is not keyfold, or of another version, has joined.`,
      { remedy: "fatal", cause },
    );
  }
}
