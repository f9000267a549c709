import { KeyfoldError } from "../../errors.ts";

/**
 * Fencing inside one process: whoever registers a name gets the token `name@epoch`, commits under it, and supersedes all
 * earlier holders of the name. Nothing is stored: RocksDB's lock keeps a second process out, so that no token outlives the log.
 */
export class Producers {
  readonly #epochs = new Map<string, number>();

  register(producer: string): string {
    const epoch = (this.#epochs.get(producer) ?? 0) + 1;
    this.#epochs.set(producer, epoch);
    return `${producer}@${epoch}`;
  }

  /** Throws `fenced` for a superseded token, and for the bare name once it is registered. Names never registered pass. */
  check(token: string): void {
    const at = token.lastIndexOf("@");
    const name = at < 0 || this.#epochs.has(token) ? token : token.slice(0, at);
    const epoch = this.#epochs.get(name);
    if (epoch === undefined || token === `${name}@${epoch}`) return;
    throw new KeyfoldError("fenced", `Producer ${token} was superseded by ${name}@${epoch}; its commit is refused.`, {
      remedy: "migrated",
      details: { producer: token, current: `${name}@${epoch}` },
    });
  }
}
