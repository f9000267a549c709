/**
 * What an event costs as the number of keys grows: CPU seconds per million events and peak memory of the reducer of
 * `bench/reduce`, keys chosen uniformly, on the embedded log and, with --brokers, on Kafka. Prints one JSON line a figure, and
 * draws them: `node --conditions=keyfold-source bench/keys.ts --svg docs/cost-by-keys.svg [--keys 10000,100000] [--brokers host:port]`,
 * or from lines printed before, `--from lines.jsonl`.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { NonNormalizedSpec } from "vega-lite/types_unstable/spec/index.js";

interface Figure {
  readonly log: string;
  readonly keys: number;
  readonly threads: number;
  readonly events: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakRssMiB: number;
}

const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "10000,100000,1000000,5000000" },
    rounds: { type: "string", default: "1" },
    brokers: { type: "string" },
    from: { type: "string" },
    svg: { type: "string" },
  },
});

const figures = values.from === undefined ? await measure() : readFigures(await readFile(values.from, "utf8"));
if (values.svg !== undefined) await writeFile(values.svg, await draw(figures));

async function measure(): Promise<Figure[]> {
  const logs = [[], ...(values.brokers === undefined ? [] : [["--brokers", values.brokers]])];
  const found: Figure[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const keys of values.keys.split(",").map(Number)) {
      for (const log of logs) {
        const size = ["--keys", String(keys), "--events", String(Math.max(2_000_000, keys))];
        const args = [
          ...process.execArgv,
          join(import.meta.dirname, "reduce", "main.ts"),
          "--workloads",
          "wide",
          "--threads",
          "1",
          ...size,
          ...log,
        ];
        const { stdout } = await promisify(execFile)(process.execPath, args);
        const [figure] = readFigures(stdout);
        if (figure === undefined) throw new Error(`nothing was measured: ${stdout}`);
        process.stdout.write(`${JSON.stringify(figure)}\n`);
        found.push(figure);
      }
    }
  }
  return found;
}

function readFigures(lines: string): Figure[] {
  const all = lines.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Figure & { bench: string }] : []));
  return all.filter(({ bench }) => bench === "reduce");
}

function draw(values: readonly Figure[]): Promise<string> {
  const axis = { title: "keys", format: "~s", values: [1e4, 1e5, 1e6, 5e6] };
  const panel = (field: keyof Figure, title: string): NonNormalizedSpec => ({
    width: 360,
    height: 240,
    encoding: {
      x: { field: "keys", type: "quantitative", scale: { type: "log" }, axis },
      y: { aggregate: "median", field, type: "quantitative", title },
      color: { field: "log", type: "nominal", title: "log" },
    },
    layer: [
      { mark: { type: "line", point: true } },
      { mark: { type: "text", dy: -10 }, encoding: { text: { aggregate: "median", field, type: "quantitative", format: ".3~r" } } },
    ],
  });
  const spec: TopLevelSpec = {
    background: "white",
    title: "What an event costs as keys grow (uniform keys, one worker, cache 10 MiB)",
    data: { values: [...values] },
    hconcat: [panel("cpuSecondsPerMillion", "CPU seconds per million events"), panel("peakRssMiB", "peak RSS, MiB")],
  };
  return new View(parse(compile(spec).spec), { renderer: "none" }).toSVG();
}
