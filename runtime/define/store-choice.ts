import type { StoreOptions } from "./stores.ts";

/** A store's name, or its options. */
export type StoreChoice = string | StoreOptions;

export function named(choice: StoreChoice | undefined): StoreOptions | undefined {
  return typeof choice === "string" ? { name: choice } : choice;
}
