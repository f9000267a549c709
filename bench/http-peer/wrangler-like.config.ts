import { defineConfig } from "keyfold/config";

export default defineConfig({
  name: "bench",
  "processing.guarantee": "exactly_once_v2",
  logLevel: "warn",
});
