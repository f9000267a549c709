import { KeyfoldError } from "../../../runtime/errors.ts";
import { type GroupAssignment, KafkaGroup } from "../../../runtime/log/kafka/group.ts";
import { openKafkaLog } from "../../../runtime/log/kafka/log.ts";
import { assignTasks } from "../../../runtime/pool/assignor.ts";
import { outBatch } from "../helpers.ts";

/**
 * A host in small, in a process of its own so that it can be killed and stopped: for each task it has, commits 0, 1, 2, … to the output
 * together with its offset. Prints what happens to it.
 */
const [brokers = "", group = "", input = "", output = "", partitions = "", name = ""] = process.argv.slice(2);
const log = await openKafkaLog({ brokers: brokers.split(","), transactionTimeoutMs: 2000, unavailableAfterMs: 20_000 });
const running = new Map<string, { stop: AbortController; done: Promise<void> }>();

async function stopAll(): Promise<void> {
  const all = [...running.values()];
  running.clear();
  for (const { stop } of all) stop.abort();
  await Promise.all(all.map(({ done }) => done));
}

async function run(task: string, signal: AbortSignal): Promise<void> {
  const partition = Number(task.split("_")[1]);
  const producer = `${group}-${task}`;
  while (!signal.aborted) {
    try {
      // First the fence, then the offset: whoever was before us can commit nothing between the two.
      await log.openProducer(producer);
      const [commit] = await log.committed(group, [{ topic: input, partition }]);
      for (let n = commit?.offset ?? 0; !signal.aborted; n++) {
        await log.commit({
          group,
          producer,
          atomic: true,
          offsets: [{ topic: input, partition, offset: n + 1 }],
          batches: [outBatch(output, partition, [[name, `${n}`]])],
        });
      }
    } catch (thrown) {
      if (!(thrown instanceof KeyfoldError)) throw thrown;
      console.log(`${task} ${thrown.code}`);
      if (thrown.code === "fenced" ? !(await membership.isMember()) : thrown.remedy !== "retry") return;
    }
  }
}

function assigned({ tasks, membership: place }: GroupAssignment): void {
  log.setMembership(group, place);
  console.log(`assigned ${tasks.join(" ")}`);
  for (const task of tasks) {
    const stop = new AbortController();
    running.set(task, { stop, done: run(task, stop.signal) });
  }
}

const membership = new KafkaGroup({
  cluster: log.cluster,
  group,
  capacity: 1,
  assign: assignTasks,
  sessionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  topics: () => [input],
  tasks: () =>
    Array.from({ length: Number(partitions) }, (_, partition) => ({ id: `0_${partition}`, partitions: [{ topic: input, partition }] })),
  events: {
    onAssigned: assigned,
    onRevoked: stopAll,
    onLost: async () => {
      console.log("lost");
      await stopAll();
    },
    onFenced: stopAll,
    onError: (error) => console.log(`error ${error.message}`),
  },
});
membership.start();
process.stdin.resume();
process.stdin.once("end", () => {
  void (async () => {
    await stopAll();
    await membership.close();
    await log.close();
  })();
});
