import { defineConfig } from "keyfold/config";

export default defineConfig({
  name: "bench",
  "commit.interval.ms": 1_000,
  logLevel: "warn",
});
