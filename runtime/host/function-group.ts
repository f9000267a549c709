import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ResolvedConfig } from "../config/resolved.ts";
import type { KeyfoldError } from "../errors.ts";
import type { Membership } from "../log/kafka/api/offsets.ts";
import type { GroupAssignment } from "../log/kafka/group.ts";
import type { HostInfo } from "./api.ts";
import type { HostedFunction } from "./functions.ts";
import type { Join, Member } from "./open-log.ts";
import { type PlannedTask, taskId } from "./placement.ts";

export interface FunctionGroupOptions {
  readonly join: Join;
  readonly config: ResolvedConfig;
  readonly fn: HostedFunction;
  /** All tasks of the function, on whatever host. */
  readonly tasks: readonly PlannedTask[];
  readonly partitions: ReadonlyMap<string, number>;
  /** How others reach this host. */
  readonly self: () => { readonly id: string; readonly url: string };
  /** These tasks are ours now, and no others. Returns quickly. */
  readonly assigned: (tasks: readonly PlannedTask[]) => void;
  /** Gives all tasks up; `commit` false: others have them already. */
  readonly revoked: (commit: boolean) => Promise<void>;
  readonly warn: (error: KeyfoldError) => void;
  /** The membership has ended for good. */
  readonly failed: (error: KeyfoldError) => void;
}

/** One function's place in the pool: which of its tasks this host has, by Kafka's group of the name of its application. */
export class FunctionGroup {
  readonly #member: Member;
  #assignment: GroupAssignment | undefined;
  /** We leave: settles when our tasks are committed and closed. */
  #ending: Promise<void> | undefined;

  constructor({ join: joined, config, fn, tasks, partitions, self, assigned, revoked, warn, failed }: FunctionGroupOptions) {
    const { engine } = config;
    const instanceId = engine["group.instance.id"];
    const planned = tasks.map((task) => ({ id: taskId(task), task, partitions: inputsOf(fn, task, partitions) }));
    const byId = new Map(planned.map(({ id, task }) => [id, task]));
    const topics = [...new Set(planned.flatMap((task) => task.partitions.map(({ topic }) => topic)))];
    this.#member = joined({
      group: fn.application,
      capacity: engine["num.stream.threads"],
      sessionTimeoutMs: engine["session.timeout.ms"],
      topics: () => topics,
      tasks: () => planned,
      owned: () => onDisk(join(engine["state.dir"], fn.application)),
      host: self,
      ...(instanceId === undefined ? {} : { instanceId }),
      events: {
        onAssigned: (assignment) => {
          if (this.#ending !== undefined) return;
          this.#assignment = assignment;
          assigned(assignment.tasks.flatMap((id) => byId.get(id) ?? []));
        },
        onRevoked: () => this.#giveUp(() => revoked(true)),
        onLost: () => this.#giveUp(() => revoked(false)),
        onFenced: async (error) => {
          await this.#giveUp(() => revoked(false));
          failed(error);
        },
        // A member that the group has forgotten (`migrated`) joins it again.
        onError: (error) => (error.remedy === "retry" || error.remedy === "migrated" ? warn(error) : failed(error)),
      },
    });
  }

  start(): void {
    this.#member.start();
  }

  /** What commits of the tasks we have now carry with them. */
  get membership(): Membership | undefined {
    return this.#assignment?.membership;
  }

  isMember(): Promise<boolean> {
    return this.#member.isMember();
  }

  /** Who has a task; undefined while the tasks are being divided. */
  ownerOf(task: string): Omit<HostInfo, "tasks"> | undefined {
    const member = this.#assignment?.placement[task];
    return member === undefined ? undefined : hostOf(this.#assignment?.hosts[member], member);
  }

  /** All hosts that have tasks of the function, or could have. */
  hosts(): HostInfo[] {
    const { hosts = {}, placement = {} } = this.#assignment ?? {};
    const owners = Object.values(placement);
    return Object.entries(hosts).map(([member, said]) => ({
      ...hostOf(said, member),
      tasks: owners.filter((owner) => owner === member).length,
    }));
  }

  /** Leaves when `released` has settled: the tasks are committed and closed. Until then we are a member, so nobody else takes them. */
  async end(released: Promise<void>, options?: { readonly leave: boolean }): Promise<void> {
    this.#ending = released.catch(() => {});
    await this.#ending;
    await this.#member.close(options);
    this.#assignment = undefined;
    await released;
  }

  async #giveUp(revoked: () => Promise<void>): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    this.#assignment = undefined;
    await revoked();
  }
}

/** What the task reads and nobody else does: global tables are everybody's. */
function inputsOf({ manifest }: HostedFunction, { subtopology, partition }: PlannedTask, partitions: ReadonlyMap<string, number>) {
  const sources = manifest.topology.subtopologies.find(({ id }) => id === subtopology)?.sources ?? [];
  return sources
    .filter(({ topic, global }) => !global && partition < (partitions.get(topic) ?? 0))
    .map(({ topic }) => ({ topic, partition }));
}

function onDisk(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => /^\d+_\d+$/.test(name));
  } catch {
    return [];
  }
}

function hostOf(said: unknown, member: string): Omit<HostInfo, "tasks"> {
  const { id = member, url = "" } = (said ?? {}) as { id?: string; url?: string };
  return { id, url };
}
