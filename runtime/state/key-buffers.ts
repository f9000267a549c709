/** Longer keys get a Buffer of their own. */
const UNITS = 32;
/** So many keys are asked for at once, as a rule. */
const KEYS = 1_024;

/** Keys as bytes for one read of many, in Buffers that serve the next read again: a Buffer costs more to make than to fill. */
export class KeyBuffers {
  readonly #memory = Buffer.allocUnsafeSlow(UNITS * KEYS);
  readonly #buffers: (Buffer | undefined)[] = [];

  /** Good until the next call. */
  of(keys: readonly string[]): Buffer[] {
    return keys.map((key, i) => this.#buffer(key, i));
  }

  #buffer(key: string, i: number): Buffer {
    const length = key.length;
    if (length > UNITS || i >= KEYS) return Buffer.from(key);
    const memory = this.#memory;
    const at = i * UNITS;
    for (let n = 0; n < length; n++) {
      const unit = key.charCodeAt(n);
      if (unit > 127) return Buffer.from(key);
      memory[at + n] = unit;
    }
    const buffer = this.#buffers[i];
    if (buffer?.length === length) return buffer;
    const made = memory.subarray(at, at + length);
    this.#buffers[i] = made;
    return made;
  }
}
