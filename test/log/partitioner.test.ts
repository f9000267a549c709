import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { murmur2, murmur2Text, partitionOf, StickyPartitioner } from "../../runtime/log/partitioner.ts";

const { vectors } = JSON.parse(readFileSync(new URL("../fixtures/murmur2-vectors.json", import.meta.url), "utf8")) as {
  vectors: [key: string, hash: number, of7: number, of24: number][];
};

test("hashes and partitions are those of the Java client", () => {
  assert.equal(vectors.length, 1000);
  for (const [key, hash, of7, of24] of vectors) {
    const bytes = Buffer.from(key);
    assert.equal(murmur2(bytes), hash, `bytes of ${JSON.stringify(key)}`);
    assert.equal(murmur2Text(key), hash, `text ${JSON.stringify(key)}`);
    assert.equal(partitionOf(key, 7), of7);
    assert.equal(partitionOf(bytes, 24), of24);
  }
});

test("a part of a larger buffer is hashed like a buffer of its own", () => {
  for (const [key, hash] of vectors.slice(0, 300)) {
    const bytes = Buffer.from(`<<${key}>`);
    assert.equal(murmur2(bytes, 2, bytes.length - 1), hash);
  }
});

test("records without a key go round, in runs", () => {
  const plain = new StickyPartitioner();
  assert.deepEqual(
    Array.from({ length: 7 }, () => plain.next(3)),
    [0, 1, 2, 0, 1, 2, 0],
  );
  const sticky = new StickyPartitioner(2);
  assert.deepEqual(
    Array.from({ length: 7 }, () => sticky.next(3)),
    [0, 0, 1, 1, 2, 2, 0],
  );
  assert.equal(sticky.next(1), 0, "a topic with fewer partitions");
});
