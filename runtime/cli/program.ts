import { CommanderError, Command as Program } from "commander";
import { packageVersion } from "../bundle/version.ts";
import { KeyfoldError } from "../errors.ts";
import type { Argument, Command, CommandContext, OptionValues } from "./command.ts";
import { commands } from "./commands/index.ts";
import { EXIT, EXIT_MEANINGS, exitCodeOf } from "./exit-codes.ts";
import { Output, type Sink } from "./output.ts";
import { usageError } from "./usage.ts";

export interface ProgramOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: CommandContext["stdin"];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signals: CommandContext["signals"];
}

/** Runs the command line; resolves to the exit code and never rejects. */
export async function run(argv: readonly string[], options: ProgramOptions): Promise<number> {
  const output = new Output({ ...options, json: argv.includes("--json") });
  let code: number = EXIT.ok;
  const program = createProgram(output, async (command, context) => {
    code = (await command.run({ ...options, ...context, output })) ?? EXIT.ok;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return EXIT.ok;
      // For people commander has written what was wrong.
      if (output.json) output.error(usageError(thrown.message.replace(/^error: /, "")));
      return EXIT.usage;
    }
    const error = KeyfoldError.from(thrown);
    output.error(error);
    if (error.code === "internal" && !output.json) output.note(error.cause instanceof Error ? (error.cause.stack ?? "") : "");
    return exitCodeOf(error);
  }
}

type Handler = (command: Command, context: Pick<CommandContext, "args" | "rest" | "options">) => Promise<void>;

function createProgram(output: Output, handler: Handler): Program {
  const program = new Program("keyfold")
    .description("Per-key reducers on a durable log.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print a command's help")
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText(
      "after",
      `\nExit codes:\n${EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join("\n")}\n\nEvery key of the config: docs/config.md. Every error: docs/errors.md.`,
    );
  const streams = {
    writeOut: (text: string) => output.raw(text, "stdout"),
    writeErr: (text: string) => (output.json ? undefined : output.raw(text, "stderr")),
    outputError: (text: string, write: (text: string) => void) => write(text.replace(/^error: /, `${output.style("✗", "red")} `)),
  };
  program.configureOutput(streams).exitOverride().showHelpAfterError("(`keyfold --help` lists the commands)");
  for (const command of commands())
    addCommand(program, command, handler)
      .configureOutput(streams)
      .exitOverride()
      .showHelpAfterError(`(\`keyfold ${command.name} --help\` says more)`);
  return program;
}

function addCommand(program: Program, command: Command, handler: Handler): Program {
  const added = program
    .command(command.name)
    .summary(command.summary)
    .description([command.summary, command.description].filter(Boolean).join("\n\n"))
    .helpOption("-h, --help", "print this help");
  for (const argument of command.arguments ?? []) added.argument(argumentSyntax(argument), argument.summary);
  for (const option of command.options ?? [])
    added.option(option.flags, option.default === undefined ? option.summary : `${option.summary} (default: ${option.default})`);
  if (command.json !== undefined) added.option("--json", `data as JSON: ${command.json}`);
  if (command.examples !== undefined)
    added.addHelpText("after", `\nExamples:\n${command.examples.map(([line, does]) => `  $ ${line}\n      ${does}`).join("\n")}`);
  added.action(async (...given: unknown[]) => {
    const values = given.slice(0, command.arguments?.length ?? 0);
    const args: Record<string, string | undefined> = {};
    let rest: readonly string[] = [];
    command.arguments?.forEach(({ name }, i) => {
      const value = values[i];
      if (Array.isArray(value)) rest = value as string[];
      else args[name.replace(/\?$/, "")] = value as string | undefined;
    });
    await handler(command, { args, rest, options: added.opts<OptionValues>() });
  });
  return added;
}

/** `key?` → `[key]`, `names...` → `[names...]`, `function` → `<function>`. */
export function argumentSyntax({ name }: Argument): string {
  if (name.endsWith("...")) return `[${name}]`;
  return name.endsWith("?") ? `[${name.slice(0, -1)}]` : `<${name}>`;
}
