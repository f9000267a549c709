import type { Location, Message } from "esbuild";

/**
 * Errors of esbuild as people read them: what is wrong, the file with line and column, the line with a mark under the
 * place.
 */
export function codeFrames(messages: readonly Message[]): string {
  return messages.map(codeFrame).join("\n\n");
}

export function codeFrame(message: Message): string {
  const notes = message.notes.map((note) =>
    [...(note.text === "" ? [] : [note.text]), ...(note.location === null ? [] : [frame(note.location)])].join("\n"),
  );
  return [message.text, ...(message.location === null ? [] : [frame(message.location)]), ...notes].join("\n");
}

/** `file:line:column` (from 1), the line, and a caret under the place. */
export function frame({ file, line, column, length, lineText }: Omit<Location, "namespace" | "suggestion">): string {
  const tabs = lineText.replaceAll("\t", "  ");
  // esbuild counts columns in bytes of UTF-8.
  const before = Buffer.from(lineText).subarray(0, column).toString().replaceAll("\t", "  ");
  const marked = Buffer.from(lineText)
    .subarray(column, column + length)
    .toString()
    .replaceAll("\t", "  ");
  const gutter = String(line);
  const caret = "^".repeat(Math.max(1, Math.min(marked.length, tabs.length - before.length)));
  return `  ${file}:${line}:${column + 1}\n    ${gutter} | ${tabs}\n    ${" ".repeat(gutter.length)} | ${" ".repeat(before.length)}${caret}`;
}
