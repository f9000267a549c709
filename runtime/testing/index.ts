/** What the author of a function imports to test it. */

export { createTestDriver, type TestDriverOptions } from "./create-driver.ts";
export type { TestDriver } from "./driver.ts";
export type { InputRecord, LoggedRecord, OutputRecord, StoreEntry, StoreReader } from "./records.ts";
