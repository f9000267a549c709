import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { KeyfoldError } from "../../../runtime/errors.ts";
import { type GroupAssignment, type GroupOptions, KafkaGroup } from "../../../runtime/log/kafka/group.ts";
import { assignTasks } from "../../../runtime/pool/assignor.ts";
import { describeKafka, type KafkaBroker } from "../../fixtures/kafka-broker.ts";
import { until } from "../../fixtures/until.ts";
import { outBatch } from "../helpers.ts";
import { type KafkaLog, newGroup, newTopic, openLog } from "./helpers.ts";

/** A host, as far as its group sees it: remembers what happened to it, and has its log commit as the member it is. */
class Host {
  readonly log: KafkaLog;
  readonly group: KafkaGroup;
  readonly events: string[] = [];
  readonly errors: KeyfoldError[] = [];
  tasks: readonly string[] = [];
  last: GroupAssignment | undefined;
  /** Awaited while tasks are given up. */
  onRevoked: () => Promise<void> = async () => {};
  readonly #waiting: { readonly wanted: () => boolean; readonly resolve: () => void }[] = [];

  constructor(log: KafkaLog, name: string, topic: string, partitions: number, options: Partial<GroupOptions> = {}) {
    this.log = log;
    const noted = (event: string): void => {
      this.events.push(event);
      for (const one of this.#waiting.splice(0)) {
        if (one.wanted()) one.resolve();
        else this.#waiting.push(one);
      }
    };
    this.group = new KafkaGroup({
      cluster: log.cluster,
      group: name,
      capacity: 1,
      assign: assignTasks,
      sessionTimeoutMs: 3000,
      heartbeatIntervalMs: 100,
      topics: () => [topic],
      tasks: () => Array.from({ length: partitions }, (_, partition) => ({ id: `0_${partition}`, partitions: [{ topic, partition }] })),
      ...options,
      events: {
        onAssigned: (assignment) => {
          this.last = assignment;
          this.tasks = assignment.tasks;
          log.setMembership(name, assignment.membership);
          noted(`assigned ${assignment.tasks.join(" ")}`);
        },
        onRevoked: async () => {
          await this.onRevoked();
          this.tasks = [];
          noted("revoked");
        },
        onLost: () => {
          this.tasks = [];
          noted("lost");
        },
        onFenced: () => {
          this.tasks = [];
          noted("fenced");
        },
        onError: (error) => this.errors.push(error),
      },
    });
    this.group.start();
  }

  until(wanted: () => boolean): Promise<void> {
    if (wanted()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }

  has(count: number): Promise<void> {
    return this.until(() => this.tasks.length === count);
  }
}

async function host(t: TestContext, broker: KafkaBroker, name: string, topic: string, options: Partial<GroupOptions> = {}): Promise<Host> {
  const log = await openLog(t, broker.brokers);
  const joined = new Host(log, name, topic, 4, options);
  t.after(() => joined.group.close());
  return joined;
}

describeKafka("kafka: group membership", { listener: "proxied" }, (broker) => {
  test("a second host takes half, gives it back when it leaves, and everybody knows who has what", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    const a = await host(t, broker(), name, topic, { host: () => ({ url: "http://a" }) });
    await a.has(4);
    assert.deepEqual(
      a.last?.partitions,
      [0, 1, 2, 3].map((partition) => ({ topic, partition })),
    );
    const b = await host(t, broker(), name, topic, { host: () => ({ url: "http://b" }) });
    await Promise.all([a.has(2), b.has(2)]);
    assert.deepEqual([...a.tasks, ...b.tasks].sort(), ["0_0", "0_1", "0_2", "0_3"]);
    assert.deepEqual(a.tasks, ["0_0", "0_1"], "it keeps what it can");
    for (const { last } of [a, b]) {
      assert.deepEqual(last?.placement, {
        "0_0": a.group.membership?.memberId,
        "0_1": a.group.membership?.memberId,
        "0_2": b.group.membership?.memberId,
        "0_3": b.group.membership?.memberId,
      });
      assert.deepEqual(last?.hosts, {
        [a.group.membership?.memberId ?? ""]: { url: "http://a" },
        [b.group.membership?.memberId ?? ""]: { url: "http://b" },
      });
    }
    await b.group.close();
    await a.has(4);
    assert.deepEqual(a.events, ["assigned 0_0 0_1 0_2 0_3", "revoked", "assigned 0_0 0_1", "revoked", "assigned 0_0 0_1 0_2 0_3"]);
    assert.deepEqual(
      [...a.errors, ...b.errors].filter(({ remedy }) => remedy !== "retry"),
      [],
    );
  });

  test("the tasks are committed before they are taken over, however long it takes", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    const a = await host(t, broker(), name, topic, { sessionTimeoutMs: 1000 });
    await a.has(4);
    // Longer than a session of ten heartbeats: they go on meanwhile.
    a.onRevoked = async () => {
      const heartbeats = (): number => a.log.cluster.counters.requests.get("Heartbeat") ?? 0;
      const before = heartbeats();
      await until("as many heartbeats as a session and a half has", () => heartbeats() >= before + 15);
      await a.log.commit({
        group: name,
        producer: `${name}-0_3`,
        atomic: false,
        batches: [],
        offsets: [{ topic, partition: 3, offset: 42 }],
      });
    };
    const b = await host(t, broker(), name, topic, { sessionTimeoutMs: 1000 });
    await b.has(2);
    assert.equal((await b.log.committed(name, [{ topic, partition: 3 }]))[0]?.offset, 42);
    await a.has(2);
    assert.deepEqual(a.events, ["assigned 0_0 0_1 0_2 0_3", "revoked", "assigned 0_0 0_1"]);
  });

  test("a static member that comes back within its session keeps its tasks; nobody rebalances, and its zombie is fenced", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    const a = await host(t, broker(), name, topic, { instanceId: "a" });
    await a.has(4);
    const b = await host(t, broker(), name, topic, { instanceId: "b" });
    await Promise.all([a.has(2), b.has(2)]);
    const generation = b.last?.membership.generation;
    const again = await host(t, broker(), name, topic, { instanceId: "b" });
    await again.has(2);
    assert.deepEqual([again.last?.membership.generation, again.tasks], [generation, b.last?.tasks]);
    await b.until(() => b.events.includes("fenced"));
    const commit = { group: name, producer: `${name}-0_2`, batches: [], offsets: [{ topic, partition: 2, offset: 1 }] };
    for (const atomic of [false, true])
      await assert.rejects(b.log.commit({ ...commit, atomic }), (error: KeyfoldError) => error.code === "fenced");
    await again.log.commit({ ...commit, atomic: false });
    assert.deepEqual(a.events.slice(-1), ["assigned 0_0 0_1"], "the others have noticed nothing");
    // Leaving without saying so, as a static member does at a restart, changes nothing either.
    await again.group.close();
    const third = await host(t, broker(), name, topic, { instanceId: "b" });
    await third.has(2);
    assert.equal(third.last?.membership.generation, generation);
    await third.group.close({ leave: true });
    await a.has(4);
  });

  test("a member left behind cannot commit, in a transaction or outside of one", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const output = await newTopic(await openLog(t, broker().brokers), 1);
    const name = newGroup();
    const a = await host(t, broker(), name, topic);
    await a.has(4);
    // What a host that was stopped past its session finds when it goes on: its place, and a group that has moved on.
    const before = a.last?.membership;
    const b = await host(t, broker(), name, topic);
    await Promise.all([a.has(2), b.has(2)]);
    a.log.setMembership(name, before);
    const commit = (atomic: boolean) => ({
      group: name,
      producer: `${name}-0_3-${atomic}`,
      atomic,
      batches: [outBatch(output, 0, [["zombie", "x"]])],
      offsets: [{ topic, partition: 3, offset: 9 }],
    });
    for (const atomic of [true, false])
      await assert.rejects(a.log.commit(commit(atomic)), (error: KeyfoldError) => error.code === "fenced" && error.remedy === "migrated");
    assert.deepEqual(await b.log.committed(name, [{ topic, partition: 3 }]), [undefined]);
    await b.log.commit(commit(true));
    assert.equal((await b.log.committed(name, [{ topic, partition: 3 }]))[0]?.offset, 9);
  });

  test("a session that ended while nobody could reach the broker: lost, then a member again", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    const log = await openLog(t, broker().proxy.brokers);
    const a = new Host(log, name, topic, 4, { sessionTimeoutMs: 1000 });
    t.after(() => a.group.close());
    await a.has(4);
    broker().proxy.block();
    await a.until(() => a.events.includes("lost"));
    broker().proxy.unblock();
    await a.has(4);
    assert.deepEqual(a.events, ["assigned 0_0 0_1 0_2 0_3", "lost", "assigned 0_0 0_1 0_2 0_3"]);
  });

  test("groups do not disturb each other, and Kafka's tools show who has what", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const log = await openLog(t, broker().brokers);
    const names = [newGroup(), newGroup(), newGroup()];
    const hosts = names.map((name) => new Host(log, name, topic, 4));
    t.after(() => Promise.all(hosts.map(({ group }) => group.close())));
    await Promise.all(hosts.map((one) => one.has(4)));
    const name = names[0] ?? "";
    const second = await host(t, broker(), name, topic);
    await Promise.all([second.has(2), hosts[0]?.has(2)]);
    assert.deepEqual(
      hosts.map(({ events }) => events.length),
      [3, 1, 1],
    );
    const described = await broker().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", [
      "--bootstrap-server",
      broker().brokers.join(","),
      "--describe",
      "--group",
      name,
      "--members",
      "--verbose",
    ]);
    assert.equal(described.split("\n").filter((line) => line.includes(`${topic}(`) || line.includes(`${topic}:`)).length, 2, described);
  });

  test("more tasks: whoever leads divides them when told to", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    let count = 2;
    const tasks = () => Array.from({ length: count }, (_, partition) => ({ id: `0_${partition}`, partitions: [{ topic, partition }] }));
    const a = await host(t, broker(), name, topic, { tasks });
    await a.has(2);
    count = 4;
    a.group.rejoin();
    await a.has(4);
  });

  test("the broker goes away and comes back: the same member goes on", async (t) => {
    const topic = await newTopic(await openLog(t, broker().brokers), 4);
    const name = newGroup();
    const a = await host(t, broker(), name, topic, { sessionTimeoutMs: 20_000 });
    await a.has(4);
    const { memberId } = a.group.membership ?? {};
    await broker().kill();
    await broker().start();
    await a.log.commit({ group: name, producer: name, atomic: false, batches: [], offsets: [{ topic, partition: 0, offset: 5 }] });
    assert.equal(a.group.membership?.memberId, memberId);
    assert.ok(!a.events.includes("lost"));
  });
});
