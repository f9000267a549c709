import { KeyfoldError } from "../../errors.ts";
import { Fetch, ListOffsets } from "./api/fetch.ts";
import { DeleteGroups, Heartbeat, JoinGroup, LeaveGroup, SyncGroup } from "./api/group.ts";
import { FindCoordinator, Metadata } from "./api/metadata.ts";
import { OffsetCommit, OffsetFetch } from "./api/offsets.ts";
import { Produce } from "./api/produce.ts";
import { CreateTopics, DeleteTopics, DescribeConfigs } from "./api/topics.ts";
import { AddOffsetsToTxn, AddPartitionsToTxn, DescribeTransactions, EndTxn, InitProducerId, TxnOffsetCommit } from "./api/transactions.ts";

/** Throws when a broker does not speak one of our versions of Kafka's protocol. */
export function checkVersions(spoken: readonly { readonly key: number; readonly min: number; readonly max: number }[]): void {
  const ranges = new Map(spoken.map((range) => [range.key, range]));
  const ours = [
    Fetch,
    ListOffsets,
    Produce,
    Metadata,
    FindCoordinator,
    OffsetCommit,
    OffsetFetch,
    CreateTopics,
    DeleteTopics,
    DescribeConfigs,
    InitProducerId,
    AddPartitionsToTxn,
    AddOffsetsToTxn,
    TxnOffsetCommit,
    EndTxn,
    DescribeTransactions,
    JoinGroup,
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    DeleteGroups,
  ];
  for (const { key, version, name } of ours) {
    const range = ranges.get(key);
    if (range !== undefined && version >= range.min && version <= range.max) continue;
    const speaks = range === undefined ? "does not know the request" : `speaks versions ${range.min} to ${range.max}`;
    throw new KeyfoldError(
      "log-unavailable",
      `The Kafka broker cannot be used: of ${name} it ${speaks}, version ${version} is needed. Brokers from 3.0 on have all of them.`,
      { remedy: "user" },
    );
  }
}
