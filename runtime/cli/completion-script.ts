import type { Command } from "./command.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A script that completes commands and their options, made from the table of commands. */
export function completionScript(shell: (typeof SHELLS)[number], commands: readonly Command[]): string {
  switch (shell) {
    case "bash":
      return bash(commands);
    case "zsh":
      return zsh(commands);
    case "fish":
      return fish(commands);
  }
}

function bash(commands: readonly Command[]): string {
  return `_keyfold() {
  local words
  case "\${COMP_WORDS[1]:-}" in
${cases(commands)}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${firstWords(commands)}"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _keyfold keyfold
`;
}

function zsh(commands: readonly Command[]): string {
  // zsh itself keeps the line typed so far in `words`.
  return `_keyfold() {
  local command="\${words[2]:-}" index="$CURRENT"
  local words
  case "$command" in
${cases(commands)}
  esac
  [ "$index" -eq 2 ] && words="${firstWords(commands)}"
  compadd -- \${=words}
}
compdef _keyfold keyfold
`;
}

/** `name) words="--a --b" ;;` for each command. */
function cases(commands: readonly Command[]): string {
  return commands.map((command) => `    ${command.name}) words="${optionsOf(command).join(" ")}" ;;`).join("\n");
}

function firstWords(commands: readonly Command[]): string {
  return [...commands.map(({ name }) => name), "help", "--help", "--version"].join(" ");
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c keyfold -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.summary)}`,
    ...optionsOf(command).map(
      (option) =>
        `complete -c keyfold -n "__fish_seen_subcommand_from ${command.name}" -l ${option.slice(2)} -d ${quoted(summaryOf(command, option))}`,
    ),
  ]);
  return `${lines.join("\n")}\n`;
}

/** Long names of a command's options. */
function optionsOf(command: Command): string[] {
  return [
    ...(command.options ?? []).map(({ flags }) => /--[a-z-]+/.exec(flags)?.[0] ?? ""),
    ...(command.json === undefined ? [] : ["--json"]),
    "--help",
  ];
}

function summaryOf(command: Command, option: string): string {
  if (option === "--json") return "data as JSON";
  return command.options?.find(({ flags }) => flags.split(/[ ,]+/).includes(option))?.summary ?? "help";
}

function quoted(text: string): string {
  return `'${text.replace(/(['\\])/g, "\\$1")}'`;
}
