const DIGITS = 16;

/** Sorts above every time, but not above every key. */
export const AFTER_TIMES = "~";

/** Length of a time in a store key. */
export const TIME_LENGTH = DIGITS;

/** A time in ms, from 0 to 2^53, as decimal digits that sort as numbers do and that people can read. */
export function timeKey(ms: number): string {
  return String(ms).padStart(DIGITS, "0");
}

/** The time that starts at `at` in a store key. */
export function timeAt(key: string, at: number): number {
  return Number(key.slice(at, at + DIGITS));
}

/** Window starts come again and again: their texts are made once. */
export class TimeKeys {
  readonly #texts = new Map<number, string>();

  of(ms: number): string {
    let text = this.#texts.get(ms);
    if (text === undefined) {
      if (this.#texts.size >= 4_096) this.#texts.clear();
      text = timeKey(ms);
      this.#texts.set(ms, text);
    }
    return text;
  }
}
