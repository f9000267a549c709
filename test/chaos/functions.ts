/**
 * A hash chain per key: one number that catches loss, doubling, reordering and stale state. Keys that begin with `t` come and
 * go. Every event leaves an audit record that says which one it was and what the chain came to.
 */
export const CHAIN = `
import { defineFunction } from "keyfold";
export default defineFunction<{ id: string; n: number; end?: boolean }, { chain: number; count: number }>({
  source: "events",
  sink: "chains",
  reduce(state = { chain: 7, count: 0 }, event, ctx) {
    const chain = (Math.imul(state.chain, 31) + event.n) | 0;
    ctx.emit("audit", { id: event.id, chain, count: state.count + 1, offset: ctx.offset });
    return event.end ? null : { chain, count: state.count + 1 };
  },
});
`;

/** Fed by the sink of \`chain\`: a state may come only once, and never go back. */
export const FOLLOW = `
import { defineFunction } from "keyfold";
export default defineFunction<{ chain: number; count: number }, { chain: number; count: number; bad: number }>({
  source: "chains",
  reduce(state = { chain: 7, count: 0, bad: 0 }, event, ctx) {
    const bad = ctx.key.startsWith("t") || event.count > state.count ? state.bad : state.bad + 1;
    return { ...event, bad };
  },
});
`;

/** Fed by what \`chain\` emits: counts every event of a key, and says when one is missing or came twice. */
export const LEDGER = `
import { defineFunction } from "keyfold";
export default defineFunction<{ id: string; chain: number; count: number; offset: number }, { count: number; offset: number; bad: number }>({
  source: "audit",
  reduce(state = { count: 0, offset: -1, bad: 0 }, event) {
    const bad = event.offset > state.offset ? state.bad : state.bad + 1;
    return { count: state.count + 1, offset: event.offset, bad };
  },
});
`;
