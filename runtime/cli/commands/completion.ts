import type { Command } from "../command.ts";
import { completionScript, SHELLS } from "../completion-script.ts";
import { usageError } from "../usage.ts";
import { commands } from "./index.ts";

export const completion: Command = {
  name: "completion",
  summary: "Print a shell's completion script.",
  arguments: [{ name: "shell", summary: SHELLS.join(", ") }],
  examples: [
    ['eval "$(keyfold completion bash)"', "in ~/.bashrc (zsh: the same in ~/.zshrc)"],
    ["keyfold completion fish > ~/.config/fish/completions/keyfold.fish", "for fish"],
  ],
  run({ args, output }) {
    const shell = SHELLS.find((candidate) => candidate === args["shell"]);
    if (shell === undefined)
      return Promise.reject(usageError(`no completion for ${JSON.stringify(args["shell"])}; there is one for ${SHELLS.join(", ")}`));
    output.raw(completionScript(shell, commands()), "stdout");
    return Promise.resolve(undefined);
  },
};
