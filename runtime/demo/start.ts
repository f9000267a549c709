import { becomeHost } from "../host/host-process.ts";

becomeHost();
await import("./main.ts");
