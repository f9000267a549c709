const BITS_PER_KEY = 16;
const LEAST_KEYS = 1024;

/**
 * Remembers roughly which keys came by lately, in one bit each: a full cache takes in only what comes a second time, so that keys
 * that come once do not push out those that come often (the doorkeeper of TinyLFU, Einziger et al. 2017, in two generations).
 */
export class Doorkeeper {
  #recent = new Uint8Array(0);
  #before = new Uint8Array(0);
  #left = 0;

  /** Whether a key of this hash came by among the last `keys` to 2 × `keys`; it has now. A few are taken for known that are not. */
  seen(hash: number, keys: number): boolean {
    if (this.#left === 0) this.#turn(keys);
    const bit = 1 << (hash & 7);
    const recent = this.#recent;
    const at = (hash >>> 3) & (recent.length - 1);
    const known = ((recent[at] as number) & bit) !== 0;
    if (!known) {
      recent[at] = (recent[at] as number) | bit;
      this.#left--;
    }
    const before = this.#before;
    return known || ((before[(hash >>> 3) & (before.length - 1)] as number) & bit) !== 0;
  }

  #turn(keys: number): void {
    const wanted = Math.max(LEAST_KEYS, keys);
    const bytes = 2 ** Math.ceil(Math.log2((wanted * BITS_PER_KEY) / 8));
    const spare = this.#before;
    this.#before = this.#recent.length === 0 ? new Uint8Array(1) : this.#recent;
    this.#recent = spare.length === bytes ? spare.fill(0) : new Uint8Array(bytes);
    this.#left = wanted;
  }
}
