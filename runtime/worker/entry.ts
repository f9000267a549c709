import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerData } from "./messages.ts";
import { BatchingPort } from "./port.ts";
import { StreamThread } from "./stream-thread.ts";

if (parentPort === null) throw new Error("this file is a worker's entry; the host starts it");

const parent = parentPort;
const port: BatchingPort<FromWorker, ToWorker> = new BatchingPort(parent, (message) => thread.receive(message));
const thread = new StreamThread(workerData as WorkerData, port);
await thread.run();
port.flush();
parent.close();
