import type { TopologyManifest } from "../bundle/manifest.ts";

type TopologyFormat = "text" | "json" | "mermaid";

type SubtopologyManifest = TopologyManifest["subtopologies"][number];

/** A function's graph for people (`text`), for programs (`json`), or as a picture (`mermaid`, for Markdown). */
export function renderTopology(functionName: string, topology: TopologyManifest, format: TopologyFormat): string {
  switch (format) {
    case "text":
      return text(functionName, topology);
    case "json":
      return `${JSON.stringify({ function: functionName, ...topology }, null, 2)}\n`;
    case "mermaid":
      return mermaid(topology);
  }
}

function text(functionName: string, { subtopologies }: TopologyManifest): string {
  const lines = [`function ${functionName}`];
  for (const subtopology of subtopologies) {
    lines.push("", `subtopology ${subtopology.id}`);
    const width = Math.max(0, ...subtopology.steps.map(({ id }) => id.length));
    for (const { id, from, reads, writes, stores } of subtopology.steps) {
      const parts = [
        [...reads.map((topic) => `topic ${topic}`), ...from].map((source) => `<- ${source}`).join(" "),
        stores.map((store) => `[${store}]`).join(" "),
        writes.map((topic) => `-> topic ${topic}`).join(" "),
      ].filter((part) => part !== "");
      lines.push(`  ${id.padEnd(width)}  ${parts.join("  ")}`.trimEnd());
    }
    if (subtopology.stores.length > 0) lines.push("  stores", ...subtopology.stores.map((store) => `    ${storeText(store)}`));
  }
  return `${lines.join("\n")}\n`;
}

function storeText({ name, engine, logged, windowed, retentionMs }: SubtopologyManifest["stores"][number]): string {
  const facts = [engine, windowed ? `windowed, kept ${retentionMs ?? 0} ms` : undefined, logged ? undefined : "not logged"];
  return `${name} (${facts.filter((fact) => fact !== undefined).join(", ")})`;
}

function mermaid({ subtopologies }: TopologyManifest): string {
  const lines = ["flowchart LR"];
  const topics = new Map<string, string>();
  const topicId = (topic: string): string => {
    const id = topics.get(topic) ?? `t${topics.size}`;
    topics.set(topic, id);
    return id;
  };
  const edges: string[] = [];
  for (const { id, steps } of subtopologies) {
    lines.push(`  subgraph s${id}["subtopology ${id}"]`);
    for (const step of steps) {
      const node = nodeId(step.id);
      lines.push(`    ${node}["${label(step.op)}"]`);
      for (const store of step.stores) {
        lines.push(`    ${node}_${nodeId(store)}[("${label(store)}")]`);
        edges.push(`  ${node} --- ${node}_${nodeId(store)}`);
      }
      for (const from of step.from) edges.push(`  ${nodeId(from)} --> ${node}`);
      for (const topic of step.reads) edges.push(`  ${topicId(topic)} --> ${node}`);
      for (const topic of step.writes) edges.push(`  ${node} --> ${topicId(topic)}`);
    }
    lines.push("  end");
  }
  for (const [topic, id] of topics) lines.push(`  ${id}(["${label(topic)}"])`);
  return `${[...lines, ...new Set(edges)].join("\n")}\n`;
}

function nodeId(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, "_");
}

function label(name: string): string {
  return name.replaceAll('"', "#quot;");
}
