import { KeyfoldError } from "../../errors.ts";

/** Kafka's error codes by name: those that one of our requests can meet (https://kafka.apache.org/protocol#protocol_error_codes). */
const NAMES: Readonly<Record<number, string>> = {
  [-1]: "UNKNOWN_SERVER_ERROR",
  1: "OFFSET_OUT_OF_RANGE",
  2: "CORRUPT_MESSAGE",
  3: "UNKNOWN_TOPIC_OR_PARTITION",
  5: "LEADER_NOT_AVAILABLE",
  6: "NOT_LEADER_OR_FOLLOWER",
  7: "REQUEST_TIMED_OUT",
  8: "BROKER_NOT_AVAILABLE",
  9: "REPLICA_NOT_AVAILABLE",
  10: "MESSAGE_TOO_LARGE",
  12: "OFFSET_METADATA_TOO_LARGE",
  13: "NETWORK_EXCEPTION",
  14: "COORDINATOR_LOAD_IN_PROGRESS",
  15: "COORDINATOR_NOT_AVAILABLE",
  16: "NOT_COORDINATOR",
  17: "INVALID_TOPIC_EXCEPTION",
  18: "RECORD_LIST_TOO_LARGE",
  19: "NOT_ENOUGH_REPLICAS",
  20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  22: "ILLEGAL_GENERATION",
  23: "INCONSISTENT_GROUP_PROTOCOL",
  24: "INVALID_GROUP_ID",
  25: "UNKNOWN_MEMBER_ID",
  26: "INVALID_SESSION_TIMEOUT",
  27: "REBALANCE_IN_PROGRESS",
  28: "INVALID_COMMIT_OFFSET_SIZE",
  29: "TOPIC_AUTHORIZATION_FAILED",
  30: "GROUP_AUTHORIZATION_FAILED",
  31: "CLUSTER_AUTHORIZATION_FAILED",
  32: "INVALID_TIMESTAMP",
  35: "UNSUPPORTED_VERSION",
  36: "TOPIC_ALREADY_EXISTS",
  37: "INVALID_PARTITIONS",
  38: "INVALID_REPLICATION_FACTOR",
  40: "INVALID_CONFIG",
  41: "NOT_CONTROLLER",
  42: "INVALID_REQUEST",
  44: "POLICY_VIOLATION",
  45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
  46: "DUPLICATE_SEQUENCE_NUMBER",
  47: "INVALID_PRODUCER_EPOCH",
  48: "INVALID_TXN_STATE",
  49: "INVALID_PRODUCER_ID_MAPPING",
  50: "INVALID_TRANSACTION_TIMEOUT",
  51: "CONCURRENT_TRANSACTIONS",
  53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
  56: "KAFKA_STORAGE_ERROR",
  59: "UNKNOWN_PRODUCER_ID",
  67: "DELEGATION_TOKEN_EXPIRED",
  68: "NON_EMPTY_GROUP",
  69: "GROUP_ID_NOT_FOUND",
  74: "FENCED_LEADER_EPOCH",
  75: "UNKNOWN_LEADER_EPOCH",
  76: "UNSUPPORTED_COMPRESSION_TYPE",
  78: "OFFSET_NOT_AVAILABLE",
  79: "MEMBER_ID_REQUIRED",
  81: "GROUP_MAX_SIZE_REACHED",
  82: "FENCED_INSTANCE_ID",
  87: "INVALID_RECORD",
  88: "UNSTABLE_OFFSET_COMMIT",
  89: "THROTTLING_QUOTA_EXCEEDED",
  90: "PRODUCER_FENCED",
  100: "UNKNOWN_TOPIC_ID",
  120: "TRANSACTION_ABORTABLE",
};

/** Another attempt may succeed, perhaps at another broker. */
const RETRIABLE = new Set([-1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 27, 41, 51, 56, 74, 75, 78, 88, 89]);
/** Someone newer holds the transactional id, or the place in the group. */
const FENCED = new Set([22, 25, 47, 49, 82, 90]);
/** What a producer has sent is void; under a new epoch, or another identity, it may begin again. */
const ABORTABLE = new Set([45, 48, 59, 120]);
const FORBIDDEN = new Set([29, 30, 31, 53]);
/** The broker took nothing of a batch, and would not take it another time. */
const REFUSED = new Set([10, 17, 18, 29, 32, 76, 87]);

export const CODE = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  notCoordinator: 16,
  coordinatorNotAvailable: 15,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicExists: 36,
  duplicateSequence: 46,
  invalidTxnState: 48,
  concurrentTransactions: 51,
  groupNotFound: 69,
  nonEmptyGroup: 68,
  memberIdRequired: 79,
  fencedInstance: 82,
} as const;

/** A broker answered with an error code. Stays inside the adapter; `toKeyfold` says it in plain words. */
export class BrokerError extends Error {
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly fenced: boolean;
  /** The broker knows no such topic or partition, leads it no more, or coordinates the group no more: look it up again. */
  readonly stale: boolean;

  readonly refused: boolean;

  constructor(errorCode: number, request: string, text?: string | null) {
    super(`${request}: ${NAMES[errorCode] ?? `error ${errorCode}`}${text ? ` (${text})` : ""}`);
    this.name = "BrokerError";
    this.errorCode = errorCode;
    this.retriable = RETRIABLE.has(errorCode);
    this.fenced = FENCED.has(errorCode);
    this.refused = REFUSED.has(errorCode);
    this.stale = [3, 5, 6, 9, 14, 15, 16, 41, 74, 75].includes(errorCode);
  }
}

/** The connection failed, was closed, or gave no answer in time: whether the request took effect is not known. */
export class LinkError extends Error {
  readonly retriable = true;
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "LinkError";
  }
}

/** Throws unless the code is 0. */
export function check(errorCode: number, request: string, text?: string | null): void {
  if (errorCode !== 0) throw new BrokerError(errorCode, request, text);
}

export function isRetriable(thrown: unknown): boolean {
  return thrown instanceof LinkError || (thrown instanceof BrokerError && thrown.retriable);
}

/** Anything that went wrong inside the adapter, as the port promises it. */
export function toKeyfold(thrown: unknown, what: string): KeyfoldError {
  if (thrown instanceof KeyfoldError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const details = thrown instanceof BrokerError ? { kafkaError: thrown.errorCode } : {};
  if (thrown instanceof BrokerError) {
    if (thrown.fenced)
      return new KeyfoldError("fenced", `${what}: another owner has taken over (${reason}).`, {
        remedy: "migrated",
        cause: thrown,
        details,
      });
    if (FORBIDDEN.has(thrown.errorCode))
      return new KeyfoldError("unauthorized", `${what}: Kafka does not allow it (${reason}). Ask for the ACL that the message names.`, {
        cause: thrown,
        details,
      });
    if (thrown.errorCode === 32) {
      return new KeyfoldError(
        "bad-request",
        `${what}: a record's timestamp is further from now than the topic allows (message.timestamp.after.max.ms, .before.max.ms).`,
        { cause: thrown, details },
      );
    }
    if (thrown.errorCode === 10 || thrown.errorCode === 18) {
      return new KeyfoldError(
        "limit-exceeded",
        `${what}: a batch is larger than the topic's max.message.bytes (${reason}). Raise that setting, or write smaller records.`,
        { cause: thrown, details },
      );
    }
  }
  if (isRetriable(thrown) || (thrown instanceof BrokerError && ABORTABLE.has(thrown.errorCode)))
    return new KeyfoldError("log-unavailable", `${what}: Kafka does not answer as it should (${reason}). It is tried again.`, {
      remedy: "retry",
      cause: thrown,
      details,
    });
  return new KeyfoldError("log-unavailable", `${what}: ${reason}`, { remedy: "fatal", cause: thrown, details });
}
