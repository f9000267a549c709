import { addExtension } from "msgpackr";

/** A Map on its way to disk: MessagePack has one kind of map, and plain objects have it already. */
class MapBox {
  readonly flat: unknown[];

  constructor(flat: unknown[]) {
    this.flat = flat;
  }
}

/** MessagePack extension type of a Map: an array of key, value, key, value, ... follows. Part of the disk format: never change it. */
const MAP_TYPE = 0x4d;

/** Registering twice is harmless: msgpackr's extensions are per process, and this one is always the same. */
export function registerMapExtension(): void {
  addExtension({
    Class: MapBox,
    type: MAP_TYPE,
    write: (box: MapBox) => box.flat,
    read: (flat: unknown[]) => {
      const map = new Map<unknown, unknown>();
      for (let i = 0; i + 1 < flat.length; i += 2) map.set(flat[i], flat[i + 1]);
      return map;
    },
  });
}

/** A copy of the value, as deep as its Maps lie, with each Map boxed. */
export function boxMaps(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Map) {
    const flat: unknown[] = [];
    for (const [key, item] of value) flat.push(boxMaps(key), boxMaps(item));
    return new MapBox(flat);
  }
  if (Array.isArray(value)) return value.map(boxMaps);
  if (value instanceof Set) return new Set(Array.from(value, boxMaps));
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) copy[name] = boxMaps(item);
  return copy;
}
