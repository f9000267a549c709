import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyfoldError } from "../../runtime/errors.ts";
import { VALUE_FORMAT, ValueCodec } from "../../runtime/state/codec.ts";
import { seed } from "./seed.ts";

type Migrations = Readonly<Record<number, (state: unknown) => unknown>>;

function codec({
  version = 1,
  migrate,
  maxBytes = 1024 * 1024,
  freeze = false,
}: {
  version?: number;
  migrate?: Migrations;
  maxBytes?: number;
  freeze?: boolean;
} = {}): ValueCodec {
  return new ValueCodec(
    { name: "carts", schemaVersion: version, ...(migrate === undefined ? {} : { migrate }) },
    { task: "0_3", maxBytes, freeze },
  );
}

/** The bytes, in memory of their own. */
function encode(by: ValueCodec, key: string, value: unknown, timestamp: number): Buffer {
  const { start, end, buffer, byteOffset } = by.encode(key, value, timestamp);
  return Buffer.from(new Uint8Array(buffer, byteOffset + start, end - start));
}

function roundTrip(value: unknown, timestamp = 7): unknown {
  const bytes = encode(codec(), "k", value, timestamp);
  const found = codec().decode("k", bytes);
  assert.equal(found.timestamp, timestamp);
  return found.value;
}

function fails(code: string, act: () => unknown): KeyfoldError {
  let caught: unknown;
  try {
    act();
  } catch (thrown) {
    caught = thrown;
  }
  assert.ok(caught instanceof KeyfoldError, `expected ${code}, got ${String(caught)}`);
  assert.equal(caught.code, code, caught.message);
  return caught;
}

describe("what a value may be", () => {
  test("all of JSON, and what MessagePack adds, comes back as it was", () => {
    const value = {
      date: new Date(1_700_000_000_123),
      old: new Date(-1_234),
      map: new Map<unknown, unknown>([
        ["a", new Map([[1, new Set(["x"])]])],
        [2, { inner: new Map() }],
      ]),
      set: new Set<unknown>([1, "two", { three: 3 }, new Map([["k", "v"]])]),
      big: [1n, -1n, 2n ** 63n, -(2n ** 63n), 10n ** 40n, -(10n ** 40n)],
      buffer: Buffer.from([0, 255, 3]),
      bytes: new Uint8Array([1, 2, 3]),
      floats: new Float64Array([1.5, -2.5]),
      numbers: [0, -1, 127, 128, 65_535, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 0.1, Number.MAX_VALUE, Infinity, -Infinity, NaN],
      nothing: null,
      undef: undefined,
      flags: [true, false],
      text: ["", "é", "😀", "x".repeat(100_000)],
      nested: { a: { b: { c: [[[]]] } } },
    };
    assert.deepEqual(roundTrip(value), value);
    assert.ok(Buffer.isBuffer((roundTrip(value) as typeof value).buffer));
    assert.ok(!Buffer.isBuffer((roundTrip(value) as typeof value).bytes));
  });

  test("any JSON value round-trips, whatever its timestamp", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.oneof(fc.constant(-1), fc.nat(), fc.integer({ min: 0, max: 2 ** 52 })), (value, timestamp) => {
        fc.pre(!JSON.stringify(value).includes('"__proto__":') && !JSON.stringify(value).includes("-0"));
        assert.deepEqual(JSON.stringify(roundTrip(value, timestamp)), JSON.stringify(value));
      }),
      { numRuns: 500, seed: seed() },
    );
  });

  test("objects of more than 65 535 properties, long arrays and deep values", () => {
    const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]));
    assert.deepEqual(roundTrip(wide), wide);
    let deep: unknown = "bottom";
    for (let i = 0; i < 400; i++) deep = { deep };
    assert.deepEqual(roundTrip(deep), deep);
  });

  test("an instance of a class without methods is a plain record", () => {
    class Point {
      x = 1;
    }
    assert.deepEqual(roundTrip({ at: new Point() }), { at: { x: 1 } });
  });

  test("bytes already encoded are not changed by what is encoded later", () => {
    const shared = codec();
    const all = Array.from({ length: 2_000 }, (_, i) => encode(shared, `k${i}`, { i, text: "y".repeat(i % 50) }, i));
    for (const [i, bytes] of all.entries()) {
      assert.deepEqual(shared.decode("k", bytes), { value: { i, text: "y".repeat(i % 50) }, timestamp: i });
    }
  });

  test("decoded binary data does not share memory with the stored bytes", () => {
    const bytes = encode(codec(), "k", { b: Buffer.from("hello") }, 1);
    (codec().decode("k", bytes).value as { b: Buffer }).b.fill(0);
    assert.equal((codec().decode("k", bytes).value as { b: Buffer }).b.toString(), "hello");
  });
});

describe("what a value may not be", () => {
  class Cart {
    total(): number {
      return 1;
    }
  }
  const circular: { self?: unknown; list: unknown[] } = { list: [] };
  circular.list.push({ back: circular });
  const cases: [name: string, value: unknown, path: string, reason: RegExp][] = [
    ["a function", { a: [1, { on: () => 1 }] }, "state.a[1].on", /is a function/],
    ["a function alone", () => 1, "state", /is a function/],
    ["a symbol", { s: Symbol("x") }, "state.s", /is a symbol \(Symbol\(x\)\)/],
    ["an instance with methods", { cart: new Cart() }, "state.cart", /instance of Cart/],
    ["a promise", { later: Promise.resolve(1) }, "state.later", /is a promise: await it/],
    ["an error", { e: new Error("x") }, "state.e", /instance of Error/],
    ["a URL", [new URL("http://a.b")], "state[0]", /instance of URL/],
    ["a WeakMap", { w: new WeakMap() }, "state.w", /instance of WeakMap/],
    ["a cycle", circular, "state.list[0].back", /refers back/],
    ["a function in a Map", new Map([["k", { f: () => 1 }]]), 'state.get("k").f', /is a function/],
    ["a function in a Set", { s: new Set([() => 1]) }, "state.s.(a member)", /is a function/],
    ["a __proto__ property", JSON.parse('{"a":{"__proto__":1}}'), "state.a", /__proto__/],
    ["an odd property name", { "a b": { "c-d": () => 1 } }, 'state["a b"]["c-d"]', /is a function/],
  ];
  // Node 24 has them, Node 20 does not.
  if (typeof Float16Array !== "undefined") cases.push(["half floats", { f: new Float16Array(1) }, "state.f", /Float16Array/]);
  for (const [name, value, path, reason] of cases) {
    test(`${name} is refused, saying where`, () => {
      const error = fails("state-unstorable", () => encode(codec(), "k1", value, 1));
      assert.equal(error.details["path"], path);
      assert.match(error.message, reason);
      assert.match(error.message, /key "k1" in store "carts" of task 0_3/);
    });
  }

  test("a value beyond the limit is refused, naming size, limit and setting", () => {
    const error = fails("state-too-large", () => encode(codec({ maxBytes: 1_000 }), "big", "x".repeat(2_000), 1));
    assert.match(error.message, /2\d{3} bytes, above the limit of 1000 \(setting "state\.max\.bytes"\)/);
    assert.equal(error.details["limit"], 1_000);
  });

  test("after a refused value the next one is encoded as ever", () => {
    const one = codec();
    fails("state-unstorable", () => encode(one, "k", circular, 1));
    assert.deepEqual(one.decode("k", encode(one, "k", { fine: true }, 3)), { value: { fine: true }, timestamp: 3 });
  });
});

describe("what stored bytes may be", () => {
  test("the first byte is one that no other layout begins with", () => {
    const first = encode(codec(), "k", { a: 1 }, 1)[0];
    assert.equal(first, VALUE_FORMAT);
    for (const other of ["{}", "[1]", '"x"', "1", "true", "null", "é", "😀", "\u0000", ""]) assert.notEqual(Buffer.from(other)[0], first);
    // MessagePack: fixmap, map16, map32, fixarray, fixstr, nil, true, ints, floats.
    for (const byte of [0x80, 0xde, 0xdf, 0x90, 0xa1, 0xc0, 0xc3, 0x00, 0xcb]) assert.notEqual(byte, first);
  });

  test("bytes of another layout are noticed, naming store and key", () => {
    for (const other of [
      Buffer.from('{"a":1}'),
      Buffer.from("text"),
      Buffer.from([0x81, 0xa1, 0x61, 0x01]),
      Buffer.alloc(0),
      Buffer.from([0]),
    ]) {
      const error = fails("state-unreadable", () => codec().decode("k9", other));
      assert.match(error.message, /key "k9" in store "carts" of task 0_3/);
    }
  });

  test("bytes that would decode behind any other first byte are refused for that byte alone", () => {
    const bytes = encode(codec(), "k", { a: 1 }, 1);
    for (let first = 0; first < 256; first++) {
      if (first === VALUE_FORMAT) continue;
      bytes[0] = first;
      assert.match(fails("state-unreadable", () => codec().decode("k", bytes)).message, /not in a format this version knows/);
    }
  });

  test("truncated or damaged bytes never give a value that was not written, and never anything but state-unreadable", () => {
    const whole = encode(codec(), "k", { a: [1, 2, 3], text: "hello", when: new Date(5), m: new Map([["k", 1n]]) }, 1_700_000_000_000);
    for (let length = 0; length < whole.length; length++) fails("state-unreadable", () => codec().decode("k", whole.subarray(0, length)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
        try {
          codec().decode("k", Buffer.concat([Buffer.from([VALUE_FORMAT, 1, 5]), garbage]));
        } catch (thrown) {
          assert.ok(thrown instanceof KeyfoldError && thrown.code === "state-unreadable", String(thrown));
        }
      }),
      { numRuns: 2_000, seed: seed() },
    );
  });
});

describe("schema versions", () => {
  const migrate: Migrations = { 1: (n) => ({ count: n }), 2: (s) => ({ ...(s as object), tags: [] }) };

  test("an older state goes through every step", () => {
    const old = encode(codec({ version: 1 }), "k", 5, 9);
    assert.deepEqual(codec({ version: 3, migrate }).decode("k", old), { value: { count: 5, tags: [] }, timestamp: 9 });
    const newer = encode(codec({ version: 2 }), "k", { count: 6 }, 9);
    assert.deepEqual(codec({ version: 3, migrate }).decode("k", newer).value, { count: 6, tags: [] });
  });

  test("a version of more than one byte", () => {
    const old = encode(codec({ version: 300 }), "k", 5, 9);
    assert.deepEqual(codec({ version: 300 }).decode("k", old), { value: 5, timestamp: 9 });
    assert.match(fails("state-unreadable", () => codec({ version: 301 }).decode("k", old)).message, /there is no migrate\[300\]/);
  });

  test("a newer state, a missing step and a step that throws are told apart", () => {
    const v3 = encode(codec({ version: 3 }), "k", 1, 1);
    assert.match(
      fails("state-unreadable", () => codec({ version: 2 }).decode("k", v3)).message,
      /schema version 3, newer than the 2 of the function/,
    );
    const v1 = encode(codec({ version: 1 }), "k", 1, 1);
    assert.match(
      fails("state-unreadable", () => codec({ version: 3, migrate: { 1: (s) => s } }).decode("k", v1)).message,
      /no migrate\[2\]/,
    );
    const boom = { 1: () => assert.fail("boom") };
    assert.match(fails("state-unreadable", () => codec({ version: 2, migrate: boom }).decode("k", v1)).message, /migrate\[1\] threw: boom/);
  });
});

test("in dev, what is decoded is frozen to the bottom", () => {
  const bytes = encode(codec(), "k", { list: [{ n: 1 }], map: new Map([["a", { n: 1 }]]), set: new Set([1]), at: new Date(0) }, 1);
  const value = codec({ freeze: true }).decode("k", bytes).value as {
    list: { n: number }[];
    map: Map<string, { n: number }>;
    set: Set<number>;
    at: Date;
  };
  assert.throws(() => value.list.push({ n: 2 }), TypeError);
  assert.throws(() => Object.assign(value.list[0] ?? {}, { n: 2 }), TypeError);
  assert.throws(() => value.map.set("b", { n: 2 }), /read-only/);
  assert.throws(() => Object.assign(value.map.get("a") ?? {}, { n: 2 }), TypeError);
  assert.throws(() => value.set.add(2), /read-only/);
  assert.throws(() => value.at.setTime(1), /read-only/);
  assert.deepEqual(codec().decode("k", encode(codec(), "k", value, 1)).value, codec().decode("k", bytes).value);
});
