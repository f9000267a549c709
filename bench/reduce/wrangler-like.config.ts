import { defineConfig } from "keyfold/config";

export default defineConfig({
  name: "bench",
  "commit.interval.ms": 1_000,
  topics: { events: { partitions: 4 } },
  logLevel: "warn",
});
