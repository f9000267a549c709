import { SourceMap, type SourceMapPayload } from "node:module";
import { relative, resolve } from "node:path";
import { frame } from "./code-frame.ts";

/**
 * The place in the sources that a stack trace of a bundle points at, as a code frame; undefined when there is none.
 * `bundle` is the file name in the trace, `mapDir` what the map's sources are relative to.
 */
export function sourceFrame(stack: string, bundle: string, map: string, mapDir: string, root: string): string | undefined {
  const payload = JSON.parse(map) as SourceMapPayload;
  const sourceMap = new SourceMap(payload);
  for (const [, line, column] of stack.matchAll(new RegExp(`${literal(bundle)}(?:\\?[^\\s:]*)?:(\\d+):(\\d+)`, "g"))) {
    const entry = sourceMap.findEntry(Number(line) - 1, Number(column) - 1);
    if (!("originalSource" in entry) || entry.originalSource.startsWith("keyfold:")) continue;
    const text = payload.sourcesContent[payload.sources.indexOf(entry.originalSource)]?.split("\n")[entry.originalLine];
    if (text === undefined) continue;
    const bytes = Buffer.byteLength(text.slice(0, entry.originalColumn));
    return frame({
      file: relative(root, resolve(mapDir, entry.originalSource)),
      line: entry.originalLine + 1,
      column: bytes,
      length: 1,
      lineText: text,
    });
  }
  return undefined;
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
