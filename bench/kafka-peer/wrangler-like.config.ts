import { join } from "node:path";
import { defineConfig } from "keyfold/config";

const { BOOTSTRAP = "", INPUT_TOPIC = "", APP_ID = "", STATE_DIR = "", GUARANTEE = "at_least_once", THREADS = "1" } = process.env;
const cut = APP_ID.lastIndexOf("-");
const exactlyOnce = GUARANTEE === "exactly_once";

/** The settings the comparison asks for; the rest, the cache of 10 MiB among it, is the default. */
export default defineConfig({
  name: APP_ID.slice(0, cut),
  functionsDir: join(STATE_DIR, "functions"),
  buildDir: join(STATE_DIR, "build"),
  log: { kind: "kafka", brokers: [BOOTSTRAP] },
  functions: { [APP_ID.slice(cut + 1)]: { source: INPUT_TOPIC } },
  "num.stream.threads": Number(THREADS),
  "processing.guarantee": exactlyOnce ? "exactly_once_v2" : "at_least_once",
  "commit.interval.ms": exactlyOnce ? 100 : 1_000,
  logLevel: "warn",
});
