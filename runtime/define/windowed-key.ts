/**
 * The key of a windowed result: the record's key, `@`, and the window's bounds in epoch ms. The end is exclusive for
 * tumbling and hopping windows, inclusive for sliding windows and sessions. This is also its form as a key in topics.
 */
export type WindowedKey = `${string}@${number}/${number}`;

export interface Window {
  readonly key: string;
  /** Epoch ms. */
  readonly start: number;
  /** Epoch ms. */
  readonly end: number;
}

export function windowedKey(key: string, start: number, end: number): WindowedKey {
  return `${key}@${start}/${end}`;
}

/** Key and bounds of a windowed key; undefined for any other text. */
export function parseWindowedKey(text: string): Window | undefined {
  const at = text.lastIndexOf("@");
  const slash = text.indexOf("/", at + 1);
  if (at < 0 || slash < 0) return undefined;
  const start = text.slice(at + 1, slash);
  const end = text.slice(slash + 1);
  if (!/^\d+$/.test(start) || !/^\d+$/.test(end)) return undefined;
  return { key: text.slice(0, at), start: Number(start), end: Number(end) };
}

/** Key and bounds of a windowed key, such as `page@0/3600000`. */
export function windowOf(key: string): Window {
  const window = parseWindowedKey(key);
  if (window === undefined) throw new TypeError(`not a windowed key: ${JSON.stringify(key)}`);
  return window;
}
