import { test } from "node:test";
import { expectTypeOf } from "expect-type";
import {
  defineFunction,
  type FunctionDefinition,
  globalTable,
  type ReducerContext,
  type Stream,
  session,
  stream,
  type Table,
  table,
  tumbling,
  type WindowedKey,
  windowOf,
} from "keyfold";

type Click = { user: string; page: string; bot: boolean };
type User = { plan: "free" | "paid" };
type CartEvent = { type: "add" | "checkout"; sku?: string };
type Cart = { skus: string[] };

test("defineFunction: event and state from explicit types, from a stream, from a default, from `initial`", () => {
  const cart = defineFunction<CartEvent, Cart>({
    source: "cart-events",
    reduce(state = { skus: [] }, event, ctx) {
      expectTypeOf(state).toEqualTypeOf<Cart>();
      expectTypeOf(event).toEqualTypeOf<CartEvent>();
      expectTypeOf(ctx).toEqualTypeOf<ReducerContext>();
      if (event.type === "checkout") return null;
      return { skus: [...state.skus, event.sku ?? ""] };
    },
  });
  expectTypeOf(cart).toEqualTypeOf<FunctionDefinition<CartEvent, Cart>>();

  const counted = defineFunction({ source: stream<Click>("clicks"), window: tumbling("1 hour"), reduce: (n = 0) => n + 1 });
  expectTypeOf(counted).toEqualTypeOf<FunctionDefinition<Click, number>>();

  const bytes = defineFunction({
    source: stream<Click>("clicks"),
    initial: 0,
    reduce(n, click) {
      expectTypeOf(n).toEqualTypeOf<number>();
      expectTypeOf(click).toEqualTypeOf<Click>();
      return n + click.page.length;
    },
  });
  expectTypeOf(bytes).toEqualTypeOf<FunctionDefinition<Click, number>>();

  const listed = defineFunction({
    source: stream<Click>("clicks"),
    initial: [] as string[],
    reduce: (pages, click) => [...pages, click.page],
  });
  expectTypeOf(listed).toEqualTypeOf<FunctionDefinition<Click, string[]>>();

  const selective = defineFunction({
    source: stream<Click>("clicks"),
    initial: { hits: 0 },
    async reduce(state, click, ctx) {
      if (click.bot) return undefined;
      return ctx.key === "" ? null : { hits: state.hits + 1 };
    },
  });
  expectTypeOf(selective).toEqualTypeOf<FunctionDefinition<Click, { hits: number }>>();

  const annotated = defineFunction({
    source: stream<Click>("clicks"),
    reduce: (n: number | undefined, click) => (n ?? 0) + click.page.length,
  });
  expectTypeOf(annotated).toEqualTypeOf<FunctionDefinition<Click, number>>();

  const asynchronous = defineFunction<CartEvent, Cart>({ source: "cart-events", reduce: async (state) => state ?? { skus: [] } });
  expectTypeOf(asynchronous).toEqualTypeOf<FunctionDefinition<CartEvent, Cart>>();
});

test("defineFunction refuses what cannot be", () => {
  // @ts-expect-error the state is a number, not a string
  () => defineFunction<CartEvent, number>({ source: "x", reduce: () => "many" });
  // @ts-expect-error no such option
  () => defineFunction<CartEvent, number>({ source: "x", reduces: () => 1 });
  // @ts-expect-error emit is one of two words
  () => defineFunction<CartEvent, number>({ source: "x", window: tumbling(5), emit: "sometimes", reduce: () => 1 });
});

test("streams carry their types from source to sink", () => {
  const clicks = stream<Click>("clicks");
  expectTypeOf(clicks.filter((click) => !click.bot)).toEqualTypeOf<Stream<Click>>();
  expectTypeOf(clicks.mapValues((click) => click.page)).toEqualTypeOf<Stream<string>>();
  expectTypeOf(clicks.map((click, key) => [click.user, key])).toEqualTypeOf<Stream<string | null>>();
  expectTypeOf(clicks.flatMapValues((click) => [click.page.length])).toEqualTypeOf<Stream<number>>();
  expectTypeOf(clicks.keyBy((click) => click.page)).toEqualTypeOf<Stream<Click>>();
  const { bots, people } = clicks.branch({ bots: (click) => click.bot }, "people");
  expectTypeOf(bots).toEqualTypeOf<Stream<Click>>();
  expectTypeOf(people).toEqualTypeOf<Stream<Click>>();
  expectTypeOf(clicks.merge(stream<string>("other"))).toEqualTypeOf<Stream<Click | string>>();
});

test("joins know which side may be missing", () => {
  const clicks = stream<Click>("clicks");
  const users = table<User>("users");
  expectTypeOf(clicks.join(users, (click, user) => ({ ...click, plan: user.plan }))).toEqualTypeOf<
    Stream<{ user: string; page: string; bot: boolean; plan: "free" | "paid" }>
  >();
  clicks.leftJoin(users, (_click, user) => expectTypeOf(user).toEqualTypeOf<User | null>());
  clicks.join(globalTable<User>("users"), (_click, user) => expectTypeOf(user).toEqualTypeOf<User>(), { key: (click) => click.user });
  clicks.outerJoin(stream<string>("other"), (left, right) => [left, right] as const, { within: "5 minutes" });
  const both = users.outerJoin(table<number>("scores"), (user, score) => ({ user, score }));
  expectTypeOf(both).toEqualTypeOf<Table<{ user: User | null; score: number | null }>>();
  // @ts-expect-error two streams are joined within a window
  () => clicks.join(stream<string>("other"), () => 1);
});

test("aggregations: tables of states, with windowed keys where there are windows", () => {
  const byPage = stream<Click>("clicks").groupBy((click) => click.page);
  expectTypeOf(byPage.count()).toEqualTypeOf<Table<number>>();
  const hourly = byPage.windowedBy(tumbling("1 hour")).aggregate({ init: () => ({ hits: 0 }), add: (state) => ({ hits: state.hits + 1 }) });
  expectTypeOf(hourly).toEqualTypeOf<Table<{ hits: number }, WindowedKey>>();
  hourly.toStream().map((state, key) => {
    expectTypeOf(state).toEqualTypeOf<{ hits: number } | null>();
    expectTypeOf(key).toEqualTypeOf<WindowedKey | null>();
    return [key === null ? null : windowOf(key).key, state];
  });
  // @ts-expect-error sessions need a merge
  () => byPage.windowedBy(session("5 minutes")).aggregate({ init: () => 0, add: (n) => n + 1 });
  const plans = table<User>("users").groupBy((user) => user.plan);
  expectTypeOf(plans.count()).toEqualTypeOf<Table<number>>();
  expectTypeOf(
    table<User>("users")
      .groupBy(
        (user) => user.plan,
        (user) => user.plan.length,
      )
      .reduce(
        (a, b) => a + b,
        (a, b) => a - b,
      ),
  ).toEqualTypeOf<Table<number>>();
});

test("processors: records in, values out, stores by name", () => {
  defineFunction<Click, string>({
    source: "clicks",
    stores: { seen: {} },
    process(record, ctx) {
      expectTypeOf(record.value).toEqualTypeOf<Click>();
      const seen = ctx.store<number>("seen");
      expectTypeOf(seen.get("a")).toEqualTypeOf<number | undefined>();
      ctx.forward(record.value.page);
      // @ts-expect-error strings come out
      ctx.forward(5);
    },
  });
});
