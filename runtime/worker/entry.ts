import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerData } from "./messages.ts";
import { BatchingPort } from "./port.ts";
import { logStrays } from "./strays.ts";
import { StreamThread } from "./stream-thread.ts";

if (parentPort === null) throw new Error("this file is a worker's entry; the host starts it");

const parent = parentPort;
const data = workerData as WorkerData;
// What the main thread says meanwhile waits in the port.
const kafka =
  data.log.kind === "kafka"
    ? await (await import("../log/kafka/log.ts")).openKafkaLog({ ...data.log, clientId: `${data.name}-worker-${data.id}` })
    : undefined;
const port: BatchingPort<FromWorker, ToWorker> = new BatchingPort(parent, (message) => thread.receive(message));
const thread = new StreamThread(data, port, kafka);
logStrays((message) => port.send(message));
await thread.run();
await kafka?.close();
port.flush();
parent.close();
