import { becomeHost } from "../../runtime/host/host-process.ts";

becomeHost();
const { build } = await import("../../runtime/bundle/build.ts");
const { loadConfig } = await import("../../runtime/config/load.ts");
const { startHost } = await import("../../runtime/host/host.ts");

// What `keyfold start` does, under the contract of the comparison: PORT and DATA_DIR in, a line `ready` out, SIGTERM ends it.
const port = Number(process.env["PORT"]);
const config = await loadConfig({
  cwd: import.meta.dirname,
  flags: { "state.dir": process.env["DATA_DIR"] ?? "", http: { port, internalPort: port + 1 } },
});
const { failures } = await build(config);
for (const { error } of failures) throw error;
const host = await startHost(config);
await host.running;
process.stdout.write("ready\n");
process.once("SIGTERM", () => void host.stop().then(() => process.exit(0)));
