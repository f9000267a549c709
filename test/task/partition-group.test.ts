import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "../../runtime/define/codecs.ts";
import { BatchBuilder, decodeBatches } from "../../runtime/log/record-batch.ts";
import { TaskInput } from "../../runtime/task/input.ts";
import { PartitionGroup } from "../../runtime/task/partition-group.ts";
import type { SourceSpec } from "../../runtime/topology/topology.ts";

function input(index: number, source: SourceSpec, records: readonly (readonly [value: unknown, timestamp: number])[]): TaskInput {
  const builder = new BatchBuilder();
  for (const [value, timestamp] of records)
    builder.append("k", Buffer.from(typeof value === "string" ? value : JSON.stringify(value)), timestamp);
  const made = new TaskInput(index, source, 0);
  made.load(decodeBatches(builder.finish()), records.length);
  return made;
}

function order(inputs: TaskInput[]): string[] {
  const group = new PartitionGroup(inputs, 0, () => 0);
  const taken: string[] = [];
  for (let next = group.next(); next !== undefined; next = group.next()) {
    const loaded = next.queue[0];
    if (loaded === undefined) break;
    taken.push(`${next.topic}${loaded.index++}`);
    if (loaded.index >= loaded.batch.length) next.queue.shift();
  }
  return taken;
}

test("inputs are merged by event time, as their extractors see it", () => {
  const plain: SourceSpec = { topic: "a", codec: json };
  const extracted: SourceSpec = { topic: "b", codec: json, timestamp: (value) => (value as { at: number }).at };
  assert.deepEqual(
    order([
      input(0, plain, [
        [{}, 10],
        [{}, 30],
      ]),
      input(1, extracted, [
        [{ at: 20 }, 1],
        [{ at: 25 }, 99],
      ]),
    ]),
    ["a0", "b0", "b1", "a1"],
  );
});

test("a record whose time cannot be extracted keeps the place of its own timestamp", () => {
  const plain: SourceSpec = { topic: "a", codec: json };
  const extracted: SourceSpec = { topic: "b", codec: json, timestamp: (value) => (value as { at: number }).at };
  assert.deepEqual(
    order([
      input(0, plain, [
        [{}, 10],
        [{}, 30],
      ]),
      input(1, extracted, [
        ["{not json", 5],
        [{ at: 20 }, 1],
      ]),
    ]),
    ["b0", "a0", "b1", "a1"],
  );
});
