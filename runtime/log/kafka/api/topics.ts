import type { TopicSpec } from "../../log.ts";
import type { Api } from "./api.ts";

export interface TopicResult {
  readonly name: string;
  readonly errorCode: number;
  readonly text: string | null;
}

/** `replicationFactor` -1: the broker's default. */
export const CreateTopics: Api<
  { readonly topic: TopicSpec; readonly replicationFactor: number; readonly timeoutMs: number },
  TopicResult[]
> = {
  key: 19,
  version: 4,
  name: "CreateTopics",
  write(w, { topic, replicationFactor, timeoutMs }) {
    w.int32(1).string(topic.name).int32(topic.partitions).int16(replicationFactor).int32(0);
    w.array(Object.entries(topic.config ?? {}), (_, [name, value]) => {
      w.string(name).string(value);
    });
    w.int32(timeoutMs).bool(false);
  },
  read(r) {
    r.int32();
    return r.array(() => ({ name: r.text(), errorCode: r.int16(), text: r.string() }));
  },
};

export const DeleteTopics: Api<{ readonly topics: readonly string[]; readonly timeoutMs: number }, TopicResult[]> = {
  key: 20,
  version: 3,
  name: "DeleteTopics",
  write(w, { topics, timeoutMs }) {
    w.array(topics, (_, topic) => {
      w.string(topic);
    }).int32(timeoutMs);
  },
  read(r) {
    r.int32();
    return r.array(() => ({ name: r.text(), errorCode: r.int16(), text: null }));
  },
};

export interface Setting {
  readonly name: string;
  readonly value: string | null;
  /** Set for this topic, not inherited from the broker. */
  readonly own: boolean;
}

const TOPIC = 2;
const DYNAMIC_TOPIC_CONFIG = 1;

export const DescribeConfigs: Api<{ readonly topics: readonly string[] }, (TopicResult & { readonly settings: Setting[] })[]> = {
  key: 32,
  version: 2,
  name: "DescribeConfigs",
  write(w, { topics }) {
    w.array(topics, (_, topic) => {
      w.int8(TOPIC).string(topic).int32(-1);
    }).bool(false);
  },
  read(r) {
    r.int32();
    return r.array(() => {
      const errorCode = r.int16();
      const text = r.string();
      r.int8();
      const name = r.text();
      const settings = r.array(() => {
        const setting = r.text();
        const value = r.string();
        r.bool();
        const own = r.int8() === DYNAMIC_TOPIC_CONFIG;
        r.bool();
        r.array(() => {
          r.string();
          r.string();
          r.int8();
        });
        return { name: setting, value, own };
      });
      return { name, errorCode, text, settings };
    });
  },
};
