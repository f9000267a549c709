import type { ProcessContext, StreamProcessor } from "keyfold";
import type { ScenarioNode } from "./scenario.ts";

type Params = NonNullable<ScenarioNode["params"]>;
type Ctx = ProcessContext<unknown>;

/** The processors that README.md describes, each over one store. */
export function processor(name: string, params: Params, store: string): () => StreamProcessor<unknown, unknown> {
  const make = PROCESSORS[name];
  if (make === undefined) throw new Error(`unknown processor: ${name}`);
  return () => make(params, store);
}

const PROCESSORS: Readonly<Record<string, (params: Params, store: string) => StreamProcessor<unknown, unknown>>> = {
  ttl: ({ ttlMs = 0, ...params }, name) => ({
    init(ctx) {
      every(ctx, params, (now) => {
        const store = ctx.store<{ v: unknown; t: number }>(name);
        for (const [key, { v, t }] of store.range()) {
          if (now - t < ttlMs) continue;
          store.delete(key);
          ctx.forward(v, { key });
        }
      });
    },
    process({ key, value, timestamp }, ctx) {
      if (key === null) return;
      const store = ctx.store<{ v: unknown; t: number }>(name);
      if (value === null) return store.delete(key);
      const seen = params.clock === "wall" ? ctx.wallClock() : timestamp;
      store.put(key, { v: value, t: Math.max(seen, store.get(key)?.t ?? seen) });
    },
  }),

  dedupe: ({ ttlMs = 0 }, name) => ({
    process({ key, value, timestamp }, ctx) {
      if (key === null) return;
      const store = ctx.store<number>(name);
      const stored = store.get(key);
      if (stored !== undefined && timestamp - stored < ttlMs) return;
      store.put(key, timestamp);
      ctx.forward(value);
    },
  }),

  countFlush: (params, name) => ({
    init(ctx) {
      every(ctx, params, () => {
        const store = ctx.store<number>(name);
        for (const [key, count] of store.range()) {
          ctx.forward(count, { key });
          store.delete(key);
        }
      });
    },
    process({ key }, ctx) {
      if (key === null) return;
      const store = ctx.store<number>(name);
      store.put(key, (store.get(key) ?? 0) + 1);
    },
  }),

  snapshot: (params, name) => ({
    init(ctx) {
      every(ctx, params, () => {
        for (const [key, value] of ctx.store(name).range()) ctx.forward(value, { key });
      });
    },
    process({ key, value }, ctx) {
      if (key !== null) ctx.store(name).put(key, value);
    },
  }),

  previous: (_params, name) => ({
    process({ key, value }, ctx) {
      if (key === null) return;
      const store = ctx.store(name);
      const prev = store.get(key) ?? null;
      store.put(key, value);
      ctx.forward({ prev, now: value });
    },
  }),
};

function every(ctx: Ctx, { everyMs, clock, times = Number.POSITIVE_INFINITY }: Params, callback: (now: number) => void): void {
  if (everyMs === undefined) return;
  let fired = 0;
  const schedule = ctx.schedule(everyMs, clock === "wall" ? "wall-clock" : "stream-time", (now) => {
    callback(now);
    fired++;
    if (fired >= times) schedule.cancel();
  });
}
