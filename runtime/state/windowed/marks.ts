import type { TaskStore } from "../store.ts";

/** Sorts before every other key of a windowed store. */
export const MARKS_KEY = "\u0000";

/**
 * A few numbers that an operator keeps beside its entries, such as its stream time. They change with every record, so they
 * are held in memory and put into the store once a commit (`save`); a task that restarts finds them as of its last commit.
 */
export class Marks<Name extends string> {
  readonly #store: TaskStore;
  readonly #names: readonly string[];
  readonly #values: Record<Name, number>;
  #saved: string;

  /** Marks that were never saved are -1. */
  constructor(store: TaskStore, names: readonly Name[]) {
    this.#store = store;
    this.#names = names;
    const found = store.get(MARKS_KEY)?.value;
    const saved: readonly unknown[] = isMarks(found) ? found.$marks : [];
    this.#values = Object.fromEntries(names.map((name, i) => [name, typeof saved[i] === "number" ? saved[i] : -1])) as Record<Name, number>;
    this.#saved = this.#text();
  }

  get(name: Name): number {
    return this.#values[name];
  }

  set(name: Name, value: number): void {
    this.#values[name] = value;
  }

  /** Raises a mark, never lowers it; returns what it is then. */
  raise(name: Name, value: number): number {
    if (value > this.#values[name]) this.#values[name] = value;
    return this.#values[name];
  }

  save(): void {
    const text = this.#text();
    if (text === this.#saved) return;
    this.#saved = text;
    const values = this.#names.map((name) => this.#values[name as Name]);
    this.#store.put(MARKS_KEY, { $marks: values }, Math.max(0, ...values));
  }

  #text(): string {
    return this.#names.map((name) => this.#values[name as Name]).join(" ");
  }
}

/** Marks lie among states: a migration of states passes them over. */
export function isMarks(value: unknown): value is { readonly $marks: readonly unknown[] } {
  return typeof value === "object" && value !== null && "$marks" in value && Array.isArray(value.$marks);
}
