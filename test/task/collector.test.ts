import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { json } from "../../runtime/define/codecs.ts";
import { partitionOf } from "../../runtime/log/partitioner.ts";
import { decodeBatches, keyText, valueText } from "../../runtime/log/record-batch.ts";
import { Collector } from "../../runtime/task/collector.ts";

const TOPICS = ["a", "b", "late"] as const;
const PARTITIONS: Readonly<Record<string, number>> = { a: 1, b: 3, late: 2 };

type Step =
  | { readonly kind: "emit"; readonly topic: (typeof TOPICS)[number]; readonly key: string }
  | { readonly kind: "begin" | "rewind" | "resolve" | "take" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("emit" as const),
      topic: fc.constantFrom(...TOPICS),
      key: fc.constantFrom("k1", "k2", "k3", "dé"),
    }),
  },
  { weight: 3, arbitrary: fc.constant<Step>({ kind: "begin" }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: "rewind" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "resolve" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "take" }) },
);

describe("collector", () => {
  test("gives out what records that were not taken back have emitted, in order, like a plain list", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const collector = new Collector();
        collector.setPartitions("a", 1);
        collector.setPartitions("b", 3);
        const sent: string[] = [];
        let model: string[] = [];
        let mark = 0;
        let known = false;
        let n = 0;
        const take = (): void => {
          const got = collector.take().flatMap(({ topic, partition, data, count }) => {
            const batch = decodeBatches(data);
            assert.equal(batch.length, count);
            return Array.from({ length: batch.length }, (_, i) => {
              assert.equal(partition, partitionOf(keyText(batch, i) ?? "", PARTITIONS[topic] ?? 0));
              return `${topic} ${keyText(batch, i)} ${valueText(batch, i)}`;
            });
          });
          const ready = model.filter((one) => known || !one.startsWith("late"));
          assert.deepEqual([...got].sort(), [...ready].sort());
          // Within a topic and key the order is kept.
          const lanes = (all: readonly string[]): string[] => all.map((one) => one.split(" ").slice(0, 2).join(" "));
          for (const lane of new Set(lanes(ready)))
            assert.deepEqual(
              got.filter((one) => one.startsWith(`${lane} `)),
              ready.filter((one) => one.startsWith(`${lane} `)),
            );
          sent.push(...got);
          model = model.filter((one) => !ready.includes(one));
          mark = model.length;
        };
        collector.begin();
        for (const one of steps) {
          switch (one.kind) {
            case "emit":
              collector.emit(one.topic, json, one.key, n, 1, null);
              model.push(`${one.topic} ${one.key} ${n++}`);
              break;
            case "begin":
              collector.begin();
              mark = model.length;
              break;
            case "rewind":
              collector.rewind();
              model.length = mark;
              break;
            case "resolve":
              // As the worker does it: between records.
              collector.begin();
              mark = model.length;
              for (const topic of collector.unresolved()) collector.setPartitions(topic, PARTITIONS[topic] ?? 0);
              if (collector.unresolved().length === 0 && model.some((record) => record.startsWith("late"))) known = true;
              break;
            case "take":
              collector.begin();
              mark = model.length;
              take();
              break;
          }
        }
        collector.begin();
        collector.setPartitions("late", 2);
        known = true;
        take();
        assert.equal(collector.take().length, 0);
        assert.equal(new Set(sent).size, sent.length);
      }),
      { numRuns: 300 },
    );
  });

  test("records without a key go round the partitions, the same way again after a clear", () => {
    const run = (): number[] => {
      const collector = new Collector();
      collector.setPartitions("b", 3);
      for (let n = 0; n < 6; n++) collector.emit("b", json, null, n, 1, null);
      return collector.take().map(({ count }) => count);
    };
    assert.deepEqual(run(), [2, 2, 2]);
  });
});
