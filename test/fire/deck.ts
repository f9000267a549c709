import type { Fault, FaultProxy } from "../fixtures/kafka/fault-proxy.ts";
import type { Random } from "../fixtures/random.ts";

type Spoilt = Parameters<FaultProxy["inject"]>[0];

/** What a broker may answer: some it takes back by itself, some end the transaction or fence the one who asked. */
const ERRORS: Readonly<Record<Spoilt, readonly number[]>> = {
  // not leader, timed out, too few replicas, sequence out of order, fenced epoch
  Produce: [6, 7, 19, 45, 47],
  // unknown topic or partition, not leader, out of range, fenced leader epoch
  Fetch: [3, 6, 1, 74],
  // coordinator loading, not coordinator, concurrent transactions
  AddPartitionsToTxn: [14, 16, 51],
  // coordinator loading, not coordinator, concurrent transactions, fenced epoch
  EndTxn: [14, 16, 51, 47],
  // coordinator loading, not coordinator, old generation, unknown member
  TxnOffsetCommit: [14, 16, 22, 25],
};

/** Every fault there is, in an order of the seed's. */
export function faultDeck(random: Random): [Spoilt, Fault][] {
  const deck = (Object.keys(ERRORS) as Spoilt[]).flatMap((api): [Spoilt, Fault][] => [
    ...ERRORS[api].map((errorCode): [Spoilt, Fault] => [api, { kind: "error", errorCode }]),
    [api, { kind: "delay", ms: 100 + random.below(1400) }],
    [api, { kind: "lose-request" }],
    [api, { kind: "lose-answer" }],
    [api, { kind: "late", ms: 20 + random.below(500) }],
    ...(api === "Fetch" ? [[api, { kind: "damage-answer" }] as [Spoilt, Fault]] : []),
  ]);
  return shuffled(deck, random);
}

export function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
