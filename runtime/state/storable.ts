/** What a value is made of: plain data, data with Maps in it, or something that would not come back as it was. */
export type Storable = "plain" | "maps" | "unstorable";

/** Deeper values are refused: a cycle looks the same from here. */
const MAX_DEPTH = 500;

/** Looks through a value before it is encoded. Cheap; `explainUnstorable` then says where the trouble is. */
export function scan(value: unknown, depth: number): Storable {
  switch (typeof value) {
    case "function":
    case "symbol":
      return "unstorable";
    case "object":
      return value === null ? "plain" : scanObject(value, depth);
    default:
      return "plain";
  }
}

function scanObject(value: object, depth: number): Storable {
  if (depth > MAX_DEPTH) return "unstorable";
  let found: Storable = "plain";
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item = value[i];
      if (typeof item === "string" || typeof item === "number") continue;
      const kind = scan(item, depth + 1);
      if (kind === "unstorable") return kind;
      if (kind === "maps") found = kind;
    }
    return found;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null || isBareClass(prototype)) {
    for (const name in value) {
      const item = (value as Record<string, unknown>)[name];
      if (name === "__proto__") return "unstorable";
      if (typeof item === "string" || typeof item === "number") continue;
      const kind = scan(item, depth + 1);
      if (kind === "unstorable") return kind;
      if (kind === "maps") found = kind;
    }
    return found;
  }
  if (prototype === Map.prototype) {
    for (const [key, item] of value as Map<unknown, unknown>) {
      if (scan(key, depth + 1) === "unstorable" || scan(item, depth + 1) === "unstorable") return "unstorable";
    }
    return "maps";
  }
  if (prototype === Set.prototype) {
    for (const item of value as Set<unknown>) {
      const kind = scan(item, depth + 1);
      if (kind === "unstorable") return kind;
      if (kind === "maps") found = kind;
    }
    return found;
  }
  return isBinary(value) || prototype === Date.prototype ? "plain" : "unstorable";
}

function isBinary(value: object): boolean {
  return (ArrayBuffer.isView(value) && !isHalfFloats(value)) || value instanceof ArrayBuffer;
}

/** msgpackr writes them (Node 24 has them, Node 20 does not), and cannot read them again. */
function isHalfFloats(value: ArrayBufferView): boolean {
  return typeof Float16Array !== "undefined" && value instanceof Float16Array;
}

/** A class without methods is a record: it comes back as a plain object, with all it had. */
function isBareClass(prototype: object): boolean {
  if (Object.getPrototypeOf(prototype) !== Object.prototype) return false;
  const names = Reflect.ownKeys(prototype);
  return names.length === 1 && names[0] === "constructor" && !BUILT_IN.test(Function.prototype.toString.call(prototype.constructor));
}

const BUILT_IN = /\{\s*\[native code\]\s*\}\s*$/;

/** Where in the value the first thing lies that cannot be stored, and what it is; undefined when there is none. */
export function explainUnstorable(value: unknown): { path: string; reason: string } | undefined {
  return explain(value, "state", []);
}

function explain(value: unknown, path: string, above: readonly object[]): { path: string; reason: string } | undefined {
  if (typeof value === "function") return { path, reason: `is a function (${value.name || "anonymous"})` };
  if (typeof value === "symbol") return { path, reason: `is a symbol (${String(value)})` };
  if (typeof value !== "object" || value === null) return undefined;
  if (above.includes(value)) return { path, reason: "refers back to an object that contains it" };
  if (above.length > MAX_DEPTH) return { path: `${path.slice(0, 100)}...`, reason: `lies more than ${MAX_DEPTH} levels deep` };
  if (value instanceof Promise) return { path, reason: "is a promise: await it first" };
  if (isBinary(value) || Object.getPrototypeOf(value) === Date.prototype) return undefined;
  if (ArrayBuffer.isView(value)) return { path, reason: "is a Float16Array, which cannot be stored: a Float32Array can" };
  if (!Array.isArray(value) && scanShallow(value) === "unstorable") {
    return {
      path,
      reason: `is an instance of ${value.constructor?.name || "a class"}, whose methods would be lost: keep plain data instead`,
    };
  }
  const inside = [...above, value];
  for (const [name, item] of children(value)) {
    if (name === "__proto__") return { path, reason: 'has a property called "__proto__"' };
    const trouble = explain(item, join(path, name), inside);
    if (trouble !== undefined) return trouble;
  }
  return undefined;
}

function scanShallow(value: object): Storable {
  const prototype = Object.getPrototypeOf(value);
  const known = [Object.prototype, Map.prototype, Set.prototype, null].includes(prototype) || isBareClass(prototype);
  return known ? "plain" : "unstorable";
}

function* children(value: object): Iterable<[name: string | number, item: unknown]> {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield [i, value[i]];
  } else if (value instanceof Map) {
    for (const [key, item] of value) {
      yield ["(a key)", key];
      yield [`get(${shortly(key)})`, item];
    }
  } else if (value instanceof Set) {
    for (const item of value) yield ["(a member)", item];
  } else yield* Object.entries(value);
}

function join(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${name}]`;
  return /^[\w$]+$/.test(name) || /^get\(|^\(/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}

function shortly(key: unknown): string {
  return typeof key === "string" ? JSON.stringify(key.slice(0, 40)) : String(key);
}
