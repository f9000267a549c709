import assert from "node:assert/strict";
import { test } from "node:test";
import { defineFunction, globalTable, KeyfoldError, rocksdb, stream, table, tumbling } from "keyfold";
import { createTestDriver } from "keyfold/testing";
import { describe } from "../../runtime/bundle/describe.ts";
import { compile } from "../../runtime/topology/compile.ts";
import { renderTopology } from "../../runtime/topology/render.ts";

const options = { name: "views", application: "shop-views", settings: {} };
const outline = (definition: unknown) =>
  compile(definition, options).topology.subtopologies.map(({ sources, stores, sinks, repartitions }) => ({
    reads: sources.map(({ topic, global }) => (global === true ? `${topic} (global)` : topic)),
    stores: stores.map(({ name }) => name),
    writes: [...repartitions, ...sinks].map(({ topic }) => topic),
  }));

interface Click {
  readonly user: string;
  readonly page: string;
}

const VIEWS = () =>
  defineFunction({
    source: stream<Click>("clicks")
      .keyBy((click) => click.user)
      .join(table<{ plan: string }>("users"), (click, user) => ({ ...click, plan: user.plan }))
      .keyBy((click) => click.page),
    window: tumbling("1 hour"),
    reduce: (n = 0) => n + 1,
    sink: "views",
  });

test("a key change before a stateful step goes through a topic, which splits the function", () => {
  assert.deepEqual(outline(VIEWS()), [
    { reads: ["clicks"], stores: [], writes: ["shop-views-clicks-users-join-left-repartition"] },
    {
      reads: ["users", "shop-views-clicks-users-join-left-repartition"].sort().reverse(),
      stores: ["users"],
      writes: ["shop-views-state-repartition"],
    },
    { reads: ["shop-views-state-repartition"], stores: ["state"], writes: ["views"] },
  ]);
});

test("compiling twice gives the same", () => {
  const definition = VIEWS();
  assert.deepEqual(outline(definition), outline(definition));
});

test("a plain reducer is one step from its source: invoke knows where", () => {
  const plain = compile(defineFunction<number, number>({ source: "a", reduce: () => 1 }), options);
  assert.deepEqual([plain.invoke, plain.queryStore], [{ topic: "a", store: "state" }, "state"]);
  const windowed = compile(VIEWS(), options);
  assert.deepEqual([windowed.invoke, windowed.queryStore], [undefined, "state"]);
});

test("tables keep their rows only where something reads them or needs old values", () => {
  const stores = (make: () => unknown) => outline(make()).flatMap((one) => one.stores);
  assert.deepEqual(
    stores(() =>
      defineFunction({
        topology: table("t")
          .mapValues((row) => row)
          .to("out"),
      }),
    ),
    [],
  );
  assert.deepEqual(
    stores(() => defineFunction({ topology: table("t", { store: "rows" }).to("out") })),
    ["rows"],
  );
  assert.deepEqual(
    stores(() =>
      defineFunction({
        topology: stream("s")
          .join(
            table("t").filter(() => true),
            () => 1,
          )
          .to("out"),
      }),
    ),
    ["t"],
  );
  assert.deepEqual(
    stores(() =>
      defineFunction({
        topology: table("t")
          .groupBy(() => "all")
          .count("n"),
      }),
    ),
    ["t", "n"],
  );
});

test("a global table is part of every subtopology that looks something up in it", () => {
  const rates = globalTable<number>("rates");
  const priced = stream<number>("a").join(rates, (n, rate) => n * rate, { key: () => "eur" });
  const other = stream<number>("b").join(rates, (n, rate) => n * rate, { key: () => "usd" });
  assert.deepEqual(outline(defineFunction({ topology: [priced.to("x"), other.to("y")] })), [
    { reads: ["a", "rates (global)"], stores: ["rates"], writes: ["x"] },
    { reads: ["b", "rates (global)"], stores: ["rates"], writes: ["y"] },
  ]);
});

test("a topic that two steps read joins them in one subtopology", () => {
  const sinks = [stream("a").to("x"), stream("a").to("y")];
  assert.deepEqual(outline(defineFunction({ topology: sinks })), [{ reads: ["a"], stores: [], writes: ["x", "y"] }]);
});

test("names that clash, sinks that nobody listed, and queries of no store are refused", () => {
  const refuses = (definition: unknown, message: RegExp): void => {
    assert.throws(
      () => compile(definition, options),
      (error) => error instanceof KeyfoldError && error.code === "topology-invalid" && message.test(error.message),
    );
  };
  const clicks = stream<Click>("clicks");
  refuses(
    defineFunction({ topology: [clicks.groupByKey().count().to("a"), clicks.groupByKey().count().to("b")] }),
    /would both be called "clicks-aggregate"/,
  );
  const forgotten = stream<Click>("clicks");
  forgotten.to("nowhere");
  refuses(defineFunction({ topology: forgotten.to("x") }), /\.to\("nowhere"\) is not part of the function/);
  refuses(defineFunction({ topology: table("t", { store: "rows" }), query: "row" }), /no store "row"; there are rows/);
});

test("versioned tables are not cached, windowed changelogs know their retention", () => {
  const [one] = compile(defineFunction({ topology: table("t", { store: rocksdb({ name: "rows", history: "1 hour" }) }) }), options).topology
    .subtopologies;
  assert.deepEqual(
    one?.stores.map(({ cached, layout }) => ({ cached, layout })),
    [{ cached: false, layout: { kind: "versioned", historyMs: 3_600_000 } }],
  );
  const windowed = compile(VIEWS(), options).topology.subtopologies[2]?.stores[0];
  assert.deepEqual([windowed?.retentionMs, windowed?.layout?.kind], [86_400_000, "time-windows"]);
});

test("one definition can be compiled again and again", async () => {
  const definition = defineFunction({ source: stream<string>("in").keyBy((letter) => letter), reduce: (n = 0) => n + 1 });
  const first = outline(definition);
  assert.deepEqual(outline(definition), first);
  for (const _ of ["first", "second"]) {
    const driver = await createTestDriver(definition);
    driver.pipe("in", { key: null, value: "a" });
    assert.equal(driver.state("a"), 1);
    await driver.close();
  }
});

test("the graph is shown as text, JSON and Mermaid", () => {
  const { topology } = describe({ default: VIEWS() }, options);
  const text = renderTopology("views", topology, "text");
  assert.match(text, /^function views\n\nsubtopology 0\n {2}stream-1 +<- topic clicks\n/);
  assert.match(text, /aggregate-\d+ +<- topic shop-views-state-repartition {2}\[state\]/);
  assert.match(text, /state \(rocksdb, windowed, kept 86400000 ms\)/);
  assert.equal(JSON.parse(renderTopology("views", topology, "json")).subtopologies.length, 3);
  const mermaid = renderTopology("views", topology, "mermaid");
  assert.match(mermaid, /^flowchart LR\n/);
  assert.equal(mermaid.match(/subgraph/g)?.length, mermaid.match(/^ {2}end$/gm)?.length);
  assert.match(mermaid, /t\d+\(\["hourly|t\d+\(\["views"\]\)/);
});
