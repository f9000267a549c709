import type { Api } from "./api.ts";

interface Member {
  readonly group: string;
  readonly memberId: string;
  /** `group.instance.id`; null for a member that is forgotten when its session ends. */
  readonly instanceId: string | null;
}

interface InGeneration extends Member {
  readonly generation: number;
}

export interface Joined {
  readonly errorCode: number;
  readonly generation: number;
  readonly leader: string;
  readonly memberId: string;
  /** Everybody's subscription; only the leader is told. */
  readonly members: { readonly memberId: string; readonly instanceId: string | null; readonly metadata: Buffer }[];
}

export const JoinGroup: Api<
  Member & {
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly protocol: string;
    readonly metadata: Uint8Array;
  },
  Joined
> = {
  key: 11,
  version: 5,
  name: "JoinGroup",
  write(w, q) {
    w.string(q.group).int32(q.sessionTimeoutMs).int32(q.rebalanceTimeoutMs).string(q.memberId).string(q.instanceId).string("consumer");
    w.int32(1).string(q.protocol).bytes(q.metadata);
  },
  read(r) {
    r.int32();
    const errorCode = r.int16();
    const generation = r.int32();
    r.string();
    const leader = r.text();
    const memberId = r.text();
    return {
      errorCode,
      generation,
      leader,
      memberId,
      members: r.array(() => ({ memberId: r.text(), instanceId: r.string(), metadata: r.bytes() ?? Buffer.alloc(0) })),
    };
  },
};

export const SyncGroup: Api<
  InGeneration & { readonly assignments: readonly (readonly [memberId: string, bytes: Uint8Array])[] },
  { readonly errorCode: number; readonly assignment: Buffer }
> = {
  key: 14,
  version: 3,
  name: "SyncGroup",
  write(w, q) {
    w.string(q.group).int32(q.generation).string(q.memberId).string(q.instanceId);
    w.array(q.assignments, (_, [memberId, bytes]) => {
      w.string(memberId).bytes(bytes);
    });
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16(), assignment: r.bytes() ?? Buffer.alloc(0) };
  },
};

export const Heartbeat: Api<InGeneration, { readonly errorCode: number }> = {
  key: 12,
  version: 3,
  name: "Heartbeat",
  write(w, q) {
    w.string(q.group).int32(q.generation).string(q.memberId).string(q.instanceId);
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16() };
  },
};

export const LeaveGroup: Api<Member, { readonly errorCode: number }> = {
  key: 13,
  version: 3,
  name: "LeaveGroup",
  write(w, q) {
    w.string(q.group).int32(1).string(q.memberId).string(q.instanceId);
  },
  read(r) {
    r.int32();
    const errorCode = r.int16();
    const members = r.array(() => {
      r.string();
      r.string();
      return r.int16();
    });
    return { errorCode: errorCode !== 0 ? errorCode : (members[0] ?? 0) };
  },
};

export const DeleteGroups: Api<{ readonly groups: readonly string[] }, { readonly group: string; readonly errorCode: number }[]> = {
  key: 42,
  version: 1,
  name: "DeleteGroups",
  write(w, { groups }) {
    w.array(groups, (_, group) => {
      w.string(group);
    });
  },
  read(r) {
    r.int32();
    return r.array(() => ({ group: r.text(), errorCode: r.int16() }));
  },
};
