import { setTimeout as sleep } from "node:timers/promises";
import { KeyfoldError } from "../../errors.ts";
import type { TopicPartition } from "../log.ts";
import { Heartbeat, type Joined, JoinGroup, LeaveGroup, SyncGroup } from "./api/group.ts";
import type { Membership } from "./api/offsets.ts";
import { pause } from "./back-off.ts";
import type { Cluster } from "./cluster.ts";
import { ASSIGNOR, type Assignment, readAssignment, readSubscription, writeAssignment, writeSubscription } from "./group-protocol.ts";
import { BrokerError, CODE, check, isRetriable, LinkError, toKeyfold } from "./protocol-errors.ts";

/** A task and the partitions that whoever runs it reads: what is given to one member as a whole. */
export interface GroupTask {
  /** `<subtopology>_<partition>` */
  readonly id: string;
  readonly partitions: readonly TopicPartition[];
}

export interface GroupAssignment extends Assignment {
  /** For `setMembership` of every log that commits offsets of this group. */
  readonly membership: Membership;
}

/** What happens to a member. One at a time, in order; the next waits until the promise of the one before has settled. */
export interface GroupEvents {
  /** These tasks, and no others, are ours now. */
  onAssigned(assignment: GroupAssignment): void | Promise<void>;
  /** The group divides its tasks anew: commit and give up all of them. The group waits for us, for at most `rebalanceTimeoutMs`. */
  onRevoked(): void | Promise<void>;
  /** The group has gone on without us: others have our tasks already. Give them up, without committing. We join again after it. */
  onLost(reason: Error): void | Promise<void>;
  /** Another process has our `group.instance.id`. The tasks are lost, and we do not join again. */
  onFenced(error: KeyfoldError): void | Promise<void>;
  /** Something that is tried again, or (remedy `fatal`) ends the membership; for the log of the host. */
  onError?(error: KeyfoldError): void;
}

/** Divides tasks over members: member id → task ids. `assignTasks` of `pool/assignor.ts`. */
export type Assign = (
  tasks: readonly { readonly id: string }[],
  members: readonly { readonly id: string; readonly capacity: number; readonly owned: readonly string[] }[],
) => ReadonlyMap<string, readonly string[]>;

export interface GroupOptions {
  readonly cluster: Cluster;
  /** application.id */
  readonly group: string;
  readonly events: GroupEvents;
  /** The function's source topics. */
  readonly topics: () => readonly string[];
  /** All tasks of the application; asked when we lead the group. */
  readonly tasks: () => readonly GroupTask[] | Promise<readonly GroupTask[]>;
  /** Used when we lead the group. */
  readonly assign: Assign;
  /** Worker threads. */
  readonly capacity: number;
  /** Tasks whose state is on our disk. */
  readonly owned?: () => readonly string[];
  /** What all members are to know of this host: plain data. */
  readonly host?: () => unknown;
  /** Static membership: a restart within the session keeps the tasks, without a rebalance. */
  readonly instanceId?: string;
  /** Default 45 000. */
  readonly sessionTimeoutMs?: number;
  /** Default 60 000. */
  readonly rebalanceTimeoutMs?: number;
  /** Default 3 000, at most a third of the session. */
  readonly heartbeatIntervalMs?: number;
}

/** How long the answer to our leaving is waited for, ms. */
const LEAVE_MS = 2000;

type Ending = { readonly kind: "rebalance" | "closed" } | { readonly kind: "lost" | "fenced"; readonly error: Error };

/**
 * Membership of one consumer group by Kafka's classic protocol, eager: at each rebalance everybody gives up everything, then the
 * leader divides it anew. Lives in the main thread, where no user code can keep it from its heartbeats.
 *
 *   joining ──join, sync──▶ member ──heartbeat says rebalance──▶ revoking ──▶ joining
 *      ▲                       │ unknown member, old generation, or no answer for a whole session
 *      └──────── lost ◀────────┘          instance id taken by another: fenced (the end)
 */
export class KafkaGroup {
  readonly #options: GroupOptions;
  readonly #sessionMs: number;
  readonly #heartbeatMs: number;
  readonly #rebalanceMs: number;
  readonly #close = new AbortController();
  #memberId = "";
  #generation = -1;
  /** Ends the pause between two heartbeats early. */
  #nudge: (() => void) | undefined;
  #wantsRejoin = false;
  #owned: readonly string[] = [];
  #running: Promise<void> | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#sessionMs = options.sessionTimeoutMs ?? 45_000;
    this.#heartbeatMs = Math.min(options.heartbeatIntervalMs ?? 3000, this.#sessionMs / 3);
    this.#rebalanceMs = options.rebalanceTimeoutMs ?? 60_000;
  }

  /** Where we stand; undefined while we are not a member. */
  get membership(): Membership | undefined {
    if (this.#generation < 0) return undefined;
    return { memberId: this.#memberId, generation: this.#generation, instanceId: this.#options.instanceId ?? null };
  }

  /** Joins, and stays a member until close(). */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Has the group divide its tasks anew, because there are other tasks now. */
  rejoin(): void {
    this.#wantsRejoin = true;
    this.#nudge?.();
  }

  /**
   * Asks the coordinator whether we are a member still, in the current generation. For a task whose commit was `fenced`: if so, nobody has
   * taken it over (its transaction was open for too long), and it may be opened again; if not, onLost or onRevoked is on the way.
   */
  async isMember(): Promise<boolean> {
    const member = this.membership;
    if (member === undefined) return false;
    const { cluster, group } = this.#options;
    try {
      const { errorCode } = await cluster.call(await this.#coordinator(), "heartbeat", Heartbeat, { group, ...member });
      if (errorCode === CODE.none) return this.#generation === member.generation;
    } catch (thrown) {
      if (!isRetriable(thrown)) throw toKeyfold(thrown, `Group ${group}`);
    }
    this.#nudge?.();
    return false;
  }

  /**
   * Ends the membership; the tasks must have been committed and given up before. `leave` tells the group at once, so that others take
   * over without waiting for the session to end. Default: true for a dynamic member, false for a static one, who is expected back.
   */
  async close({ leave = this.#options.instanceId === undefined }: { leave?: boolean } = {}): Promise<void> {
    if (this.#close.signal.aborted) return this.#running;
    this.#close.abort();
    this.#nudge?.();
    const node = await this.#coordinator().catch(() => undefined);
    if (node !== undefined) this.#options.cluster.closeLane(node, this.#joinLane);
    await this.#running;
    if (leave && this.#memberId !== "" && node !== undefined) {
      const { cluster, group, instanceId = null } = this.#options;
      // Best effort: without it the session ends by itself.
      const left = cluster.call(node, "heartbeat", LeaveGroup, { group, memberId: this.#memberId, instanceId }).catch(() => undefined);
      await Promise.race([left, sleep(LEAVE_MS, undefined, { ref: false })]);
    }
    this.#generation = -1;
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#isClosed; ) {
      try {
        const assignment = await this.#enter();
        if (this.#isClosed) return;
        failures = 0;
        if (!(await this.#serve(assignment))) return;
      } catch (thrown) {
        if (this.#isClosed) return;
        const ending = this.#reasonOf(thrown);
        if (ending?.kind === "fenced") return this.#fenced(ending.error);
        const error = toKeyfold(thrown, `Group ${this.#options.group}`);
        this.#options.events.onError?.(error);
        if (ending === undefined && error.remedy !== "retry") return;
        await sleep(pause(++failures), undefined, { signal: this.#close.signal }).catch(() => undefined);
      }
    }
  }

  /** One generation, from its assignment to its end. False when it was the last. */
  async #serve(assignment: GroupAssignment): Promise<boolean> {
    const { events } = this.#options;
    const { generation } = assignment.membership;
    const assigned = this.#tell(() => events.onAssigned(assignment));
    let ending = await this.#beat(generation);
    if (ending.kind === "rebalance") {
      // Taking over and committing may take a while: the heartbeats go on meanwhile, and say if we were given up.
      const revoked = assigned.then(() => this.#tell(() => events.onRevoked()));
      ending = await this.#beat(generation, revoked);
      await revoked;
      if (ending.kind === "lost") return true;
    }
    await assigned;
    if (ending.kind === "fenced") await this.#fenced(ending.error);
    if (ending.kind === "lost") {
      const { error } = ending;
      this.#generation = -1;
      await this.#tell(() => events.onLost(error));
    }
    return ending.kind === "rebalance" || ending.kind === "lost";
  }

  /** Joins and synchronizes; resolves when we are a member of a generation and know our tasks. */
  async #enter(): Promise<GroupAssignment> {
    const { cluster, group, instanceId = null, topics, capacity, owned, host } = this.#options;
    this.#wantsRejoin = false;
    const subscription = { topics: topics(), capacity, owned: owned?.() ?? this.#owned, host: host?.() ?? null };
    const node = await this.#coordinator();
    const ask = (): Promise<Joined> =>
      cluster.call(
        node,
        this.#joinLane,
        JoinGroup,
        {
          group,
          memberId: this.#memberId,
          instanceId,
          sessionTimeoutMs: this.#sessionMs,
          rebalanceTimeoutMs: this.#rebalanceMs,
          protocol: ASSIGNOR,
          metadata: writeSubscription(subscription),
        },
        this.#rebalanceMs + this.#sessionMs,
      );
    let joined = await ask();
    if (joined.errorCode === CODE.memberIdRequired) {
      this.#memberId = joined.memberId;
      joined = await ask();
    }
    check(joined.errorCode, `JoinGroup of ${group}`);
    this.#memberId = joined.memberId;
    const { generation } = joined;
    const assignments = joined.leader === joined.memberId ? await this.#divide(joined) : [];
    const synced = await cluster.call(
      node,
      this.#joinLane,
      SyncGroup,
      { group, generation, memberId: this.#memberId, instanceId, assignments },
      this.#rebalanceMs,
    );
    check(synced.errorCode, `SyncGroup of ${group}`);
    cluster.closeLane(node, this.#joinLane);
    const assignment = readAssignment(synced.assignment);
    this.#generation = generation;
    this.#owned = assignment.tasks;
    return { ...assignment, membership: { memberId: this.#memberId, generation, instanceId } };
  }

  /** As the leader: who gets what. */
  async #divide({ members }: Joined): Promise<(readonly [string, Uint8Array])[]> {
    const subscriptions = members.map(({ memberId, metadata }) => ({ id: memberId, ...readSubscription(metadata, memberId) }));
    const tasks = new Map((await this.#options.tasks()).map((task) => [task.id, task]));
    const assigned = this.#options.assign([...tasks.values()], subscriptions);
    const placement = Object.fromEntries([...assigned].flatMap(([member, ids]) => ids.map((id) => [id, member])));
    const hosts = Object.fromEntries(subscriptions.map(({ id, host }) => [id, host]));
    return [...assigned].map(([member, ids]) => {
      const partitions = ids.flatMap((id) => tasks.get(id)?.partitions ?? []);
      return [member, writeAssignment({ tasks: ids, partitions, placement, hosts })] as const;
    });
  }

  /** Sends heartbeats until the generation ends; while `revoking` is pending, a rebalance is no news. */
  async #beat(generation: number, revoking?: Promise<void>): Promise<Ending> {
    const { cluster, group, instanceId = null } = this.#options;
    let isRevoking = revoking !== undefined;
    void revoking?.then(() => {
      isRevoking = false;
      this.#nudge?.();
    });
    let heard = Date.now();
    for (;;) {
      await this.#rest(revoking === undefined);
      if (this.#isClosed) return { kind: "closed" };
      if (revoking !== undefined && !isRevoking) return { kind: "rebalance" };
      if (revoking === undefined && this.#wantsRejoin) return { kind: "rebalance" };
      try {
        const { errorCode } = await cluster.call(await this.#coordinator(), "heartbeat", Heartbeat, {
          group,
          generation,
          memberId: this.#memberId,
          instanceId,
        });
        if (errorCode === CODE.none) heard = Date.now();
        else if (errorCode === CODE.rebalanceInProgress) {
          heard = Date.now();
          if (revoking === undefined) return { kind: "rebalance" };
        } else throw new BrokerError(errorCode, `heartbeat of ${group}`);
      } catch (thrown) {
        const ending = this.#reasonOf(thrown);
        if (ending !== undefined) return ending;
        // Nobody vouches for us any more: by now the coordinator, wherever it is, has given us up.
        if (Date.now() - heard > this.#sessionMs) return { kind: "lost", error: toKeyfold(thrown, `Group ${group}`) };
        if (!isRetriable(thrown)) this.#options.events.onError?.(toKeyfold(thrown, `Heartbeat of group ${group}`));
      }
    }
  }

  /** What an error means for the membership; undefined when it is only a failed request. */
  #reasonOf(thrown: unknown): Ending | undefined {
    const { cluster, group } = this.#options;
    if (thrown instanceof LinkError || (thrown instanceof BrokerError && thrown.stale)) cluster.forgetCoordinator("group", group);
    if (!(thrown instanceof BrokerError)) return undefined;
    if (thrown.errorCode === CODE.fencedInstance) return { kind: "fenced", error: thrown };
    if (thrown.errorCode === CODE.unknownMember) this.#memberId = "";
    if (thrown.errorCode === CODE.unknownMember || thrown.errorCode === CODE.illegalGeneration) return { kind: "lost", error: thrown };
    return undefined;
  }

  async #fenced(reason: Error): Promise<void> {
    const { group, instanceId, events } = this.#options;
    this.#generation = -1;
    this.#memberId = "";
    const error = new KeyfoldError(
      "fenced",
      `Another host has joined the group "${group}" with our group.instance.id "${instanceId}": give every host an id of its own.`,
      { remedy: "migrated", cause: reason },
    );
    await this.#tell(() => events.onFenced(error));
  }

  /** Runs a handler; what it throws is reported, and does not end the membership. */
  async #tell(handler: () => void | Promise<void>): Promise<void> {
    try {
      await handler();
    } catch (thrown) {
      this.#options.events.onError?.(KeyfoldError.from(thrown));
    }
  }

  /** Until the next heartbeat is due, or there is a reason to look earlier. */
  #rest(mayRejoin: boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#nudge = undefined;
        resolve();
      };
      const timer = setTimeout(done, this.#heartbeatMs);
      this.#nudge = done;
      if (this.#isClosed || (mayRejoin && this.#wantsRejoin)) done();
    });
  }

  get #isClosed(): boolean {
    return this.#close.signal.aborted || this.#options.cluster.signal.aborted;
  }

  #coordinator(): Promise<number> {
    return this.#options.cluster.coordinator("group", this.#options.group);
  }

  /** A join waits for the other members: nothing else may have to wait behind it. */
  get #joinLane(): string {
    return `join/${this.#options.group}`;
  }
}
