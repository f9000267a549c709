import { defineConfig } from "keyfold/config";

export default defineConfig({
  name: "bench",
  "processing.guarantee": "exactly_once_v2",
  // One worker does it all: one partition makes one commit of what would be several.
  topics: { amounts: { partitions: 1 } },
  logLevel: "warn",
});
