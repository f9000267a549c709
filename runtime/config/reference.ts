import { z } from "zod";
import { variableName, variables } from "./environment.ts";
import { type LeafMeta, leafMeta } from "./leaf.ts";
import { functionDefaultsSchema, functionSchema, httpSchema, layerSchema, limitsSchema, logSchema } from "./schema.ts";
import { topicSettings } from "./topic-settings.ts";

/** The generated part of docs/config.md: every key with its unit, default, meaning and environment variable. */
export function configReference(): string {
  const top = Object.fromEntries(Object.entries(layerSchema.shape).filter(([, child]) => leafMeta(child as z.ZodType) !== undefined));
  const sections: readonly (readonly [title: string, said: string, schema: z.ZodObject, path: readonly string[] | undefined])[] = [
    ["Top level", "", z.object(top as z.ZodRawShape), []],
    ["`log`", "Where events, changelogs and offsets are kept.", logSchema, ["log"]],
    ["`http`", "The two listeners of a host.", httpSchema, ["http"]],
    ["`topics.<topic>`", "Topics by name, with Kafka's own settings.", topicSettings, undefined],
    [
      "`functionDefaults`",
      "Settings of all functions. Those in a function's file win over them.",
      functionDefaultsSchema,
      ["functionDefaults"],
    ],
    ["`functions.<function>`", "Settings of one function. They win over those in its file.", functionSchema, undefined],
    ["`limits`", "Every refusal names the limit, the value and the setting.", limitsSchema, ["limits"]],
  ];
  const settable = new Set(variables().map(({ name }) => name));
  return sections
    .map(([title, said, schema, path]) => {
      const rows = leaves(schema).map(([key, meta]) => {
        const variable = path === undefined ? "" : variableName([...path, ...key]);
        return `| \`${key.join(".")}\` | ${meta.unit ?? ""} | ${defaultText(meta)} | ${meta.doc}${allowedText(meta)} | ${settable.has(variable) ? `\`${variable}\`` : ""} |`.replaceAll(
          "  |",
          " |",
        );
      });
      return [
        `### ${title}`,
        "",
        ...(said === "" ? [] : [said, ""]),
        "| key | unit | default | meaning | variable |",
        "| --- | --- | --- | --- | --- |",
        ...rows,
      ].join("\n");
    })
    .join("\n\n");
}

function leaves(schema: z.ZodObject, path: readonly string[] = []): [string[], LeafMeta][] {
  return Object.entries(schema.shape).flatMap(([key, child]): [string[], LeafMeta][] => {
    const meta = leafMeta(child as z.ZodType);
    if (meta !== undefined) return [[[...path, key], meta]];
    const inner = child instanceof z.ZodOptional ? child.unwrap() : child;
    return inner instanceof z.ZodObject ? leaves(inner, [...path, key]) : [];
  });
}

function defaultText({ defaultText: text, default: value, kind }: LeafMeta): string {
  if (text !== undefined) return text;
  if (kind === "bytes" && typeof value === "number") return `${value}${inMiB(value)}`;
  return typeof value === "string" ? `\`${value}\`` : String(value);
}

function inMiB(bytes: number): string {
  return bytes >= 2 ** 20 && bytes % 2 ** 20 === 0 ? ` (${bytes / 2 ** 20} MiB)` : "";
}

/** How times and sizes are written is said once, above the tables. */
function allowedText({ kind, allowed }: LeafMeta): string {
  return kind === "duration" || kind === "bytes" || kind === "path" ? "" : ` Must be ${allowed}.`;
}
