import type { Api } from "./api.ts";

export interface PartitionMetadata {
  readonly errorCode: number;
  readonly partition: number;
  readonly leader: number;
}

export interface TopicMetadata {
  readonly errorCode: number;
  readonly name: string;
  readonly internal: boolean;
  readonly partitions: PartitionMetadata[];
}

export interface ClusterMetadata {
  readonly brokers: { readonly id: number; readonly host: string; readonly port: number }[];
  readonly controller: number;
  readonly topics: TopicMetadata[];
}

/** `topics: null` asks for all. Topics are never created by asking. */
export const Metadata: Api<{ readonly topics: readonly string[] | null }, ClusterMetadata> = {
  key: 3,
  version: 7,
  name: "Metadata",
  write(w, { topics }) {
    if (topics === null) w.int32(-1);
    else w.array(topics, (_, topic) => w.string(topic));
    w.bool(false);
  },
  read(r) {
    r.int32();
    const brokers = r.array(() => {
      const broker = { id: r.int32(), host: r.text(), port: r.int32() };
      r.string();
      return broker;
    });
    r.string();
    return {
      brokers,
      controller: r.int32(),
      topics: r.array(() => ({
        errorCode: r.int16(),
        name: r.text(),
        internal: r.bool(),
        partitions: r.array(() => {
          const partition = { errorCode: r.int16(), partition: r.int32(), leader: r.int32() };
          r.int32();
          for (let lists = 0; lists < 3; lists++) r.array(() => r.int32());
          return partition;
        }),
      })),
    };
  },
};

/** What a broker speaks. Answered in version 0 by every broker. */
export const ApiVersions: Api<
  undefined,
  { readonly errorCode: number; readonly versions: { readonly key: number; readonly min: number; readonly max: number }[] }
> = {
  key: 18,
  version: 0,
  name: "ApiVersions",
  write() {},
  read(r) {
    return { errorCode: r.int16(), versions: r.array(() => ({ key: r.int16(), min: r.int16(), max: r.int16() })) };
  },
};

export type CoordinatorType = "group" | "transaction";

export const FindCoordinator: Api<
  { readonly key: string; readonly type: CoordinatorType },
  { readonly errorCode: number; readonly text: string | null; readonly node: number; readonly host: string; readonly port: number }
> = {
  key: 10,
  version: 2,
  name: "FindCoordinator",
  write(w, { key, type }) {
    w.string(key).int8(type === "group" ? 0 : 1);
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16(), text: r.string(), node: r.int32(), host: r.text(), port: r.int32() };
  },
};
