import assert from "node:assert/strict";
import { test } from "node:test";
import { stateJson } from "../../runtime/task/json.ts";

test("what JSON lacks, as HTTP shows it", () => {
  const state = {
    date: new Date(0),
    map: new Map([["a", 1]]),
    pairs: new Map([[{ x: 1 }, 2]]),
    set: new Set(["a", 1n]),
    big: 12345678901234567890n,
    bytes: Buffer.from("hi"),
    octets: new Uint8Array([104, 105]),
    floats: new Float64Array([1.5, Number.NaN]),
    bigs: new BigInt64Array([2n ** 60n]),
    infinite: Number.POSITIVE_INFINITY,
  };
  assert.deepEqual(JSON.parse(stateJson(state)), {
    date: "1970-01-01T00:00:00.000Z",
    map: { a: 1 },
    pairs: [[{ x: 1 }, 2]],
    set: ["a", "1"],
    big: "12345678901234567890",
    bytes: "aGk=",
    octets: "aGk=",
    floats: [1.5, null],
    bigs: ["1152921504606846976"],
    infinite: null,
  });
  for (const [value, text] of [
    [1n, '"1"'],
    ["a", '"a"'],
    [{ n: 1, none: null }, '{"n":1,"none":null}'],
    [new Map(), "{}"],
  ] as const)
    assert.equal(stateJson(value), text);
});
