import type { Command } from "./command.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A script that completes commands and their options, made from the table of commands. */
export function completionScript(shell: (typeof SHELLS)[number], commands: readonly Command[]): string {
  if (shell === "fish") return fish(commands);
  const cases = commands.map((command) => `    ${command.name}) words="${optionsOf(command).join(" ")}" ;;`).join("\n");
  const body = `    *) words="${commands.map(({ name }) => name).join(" ")} help --help --version" ;;`;
  const pick = `  local words\n  case "$COMMAND" in\n${cases}\n${body}\n  esac`;
  if (shell === "bash") {
    return `_keyfold() {\n${pick.replace("$COMMAND", "${COMP_WORDS[1]:-}")}\n  [ "$COMP_CWORD" -eq 1 ] && words="${commands.map(({ name }) => name).join(" ")} help --help --version"\n  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))\n}\ncomplete -o default -F _keyfold keyfold\n`;
  }
  return `_keyfold() {\n${pick.replace("$COMMAND", "${words_typed[2]:-}").replace("  local words\n", '  local -a words_typed; words_typed=("${(@)words}")\n  local words\n')}\n  compadd -- \${=words}\n}\ncompdef _keyfold keyfold\n`;
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c keyfold -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.summary)}`,
    ...optionsOf(command).map((option) => `complete -c keyfold -n "__fish_seen_subcommand_from ${command.name}" -l ${option.slice(2)} -d ${quoted(summaryOf(command, option))}`),
  ]);
  return `${lines.join("\n")}\n`;
}

/** Long names of a command's options. */
function optionsOf(command: Command): string[] {
  return [...(command.options ?? []).map(({ flags }) => /--[a-z-]+/.exec(flags)?.[0] ?? ""), ...(command.json === undefined ? [] : ["--json"]), "--help"];
}

function summaryOf(command: Command, option: string): string {
  if (option === "--json") return "data as JSON";
  return command.options?.find(({ flags }) => flags.split(/[ ,]+/).includes(option))?.summary ?? "help";
}

function quoted(text: string): string {
  return `'${text.replace(/(['\\])/g, "\\$1")}'`;
}
