/**
 * Freezes plain objects, arrays, Maps, Sets and Dates all the way down (dev only), so that a reducer that changes its
 * state in place fails where it does so. Binary data cannot be frozen.
 */
export function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return;
  if (value instanceof Map) {
    for (const [key, item] of value) {
      deepFreeze(key);
      deepFreeze(item);
    }
    blockMethods(value, ["set", "delete", "clear"]);
  } else if (value instanceof Set) {
    for (const item of value) deepFreeze(item);
    blockMethods(value, ["add", "delete", "clear"]);
  } else if (value instanceof Date) {
    blockMethods(
      value,
      Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith("set")),
    );
  }
  Object.freeze(value);
  for (const item of Object.values(value)) deepFreeze(item);
}

function blockMethods(value: object, names: readonly string[]): void {
  for (const name of names) {
    Object.defineProperty(value, name, {
      value: () => {
        throw new TypeError(`Cannot call ${name}(): the state is read-only. Return a new value instead of changing the one you got.`);
      },
    });
  }
}
