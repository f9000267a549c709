import type { Command } from "./command.ts";
import { EXIT_MEANINGS } from "./exit-codes.ts";
import { argumentSyntax } from "./program.ts";

/** The generated part of docs/cli.md: every command, and the exit codes. */
export function cliReference(commands: readonly Command[]): string {
  return [
    ...commands.map(section),
    [
      "## Exit codes",
      "",
      "| code | meaning |",
      "| --- | --- |",
      ...EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    ].join("\n"),
  ].join("\n\n");
}

function section(command: Command): string {
  const usage = [
    "keyfold",
    command.name,
    ...(command.arguments ?? []).map(argumentSyntax),
    ...(hasOptions(command) ? ["[options]"] : []),
  ].join(" ");
  const options = [...(command.options ?? []), ...(command.json === undefined ? [] : [{ flags: "--json", summary: "data as JSON" }])];
  return [
    `## ${command.name}`,
    "",
    command.summary,
    ...(command.description === undefined ? [] : ["", command.description]),
    "",
    "```sh",
    usage,
    ...(command.examples ?? []).map(([line, does]) => `${line}  # ${does}`),
    "```",
    ...(command.arguments === undefined
      ? []
      : [
          "",
          "| argument | meaning |",
          "| --- | --- |",
          ...command.arguments.map((argument) => `| \`${argumentSyntax(argument)}\` | ${cell(argument.summary)} |`),
        ]),
    ...(options.length === 0
      ? []
      : [
          "",
          "| option | meaning | default |",
          "| --- | --- | --- |",
          ...options.map(
            (option) => `| \`${option.flags}\` | ${cell(option.summary)} | ${cell(("default" in option && option.default) || "")} |`,
          ),
        ]),
    ...(command.json === undefined ? [] : ["", `With \`--json\`: ${command.json}`]),
  ].join("\n");
}

function hasOptions({ options, json }: Command): boolean {
  return (options?.length ?? 0) > 0 || json !== undefined;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
