import { basename, relative, resolve } from "node:path";
import { projectName } from "../../config/locate.ts";
import { KeyfoldError } from "../../errors.ts";
import { type Command, type CommandContext, switchOption, textOption } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { type PlannedFile, planProject, writeProject } from "../new-project.ts";

export const init: Command = {
  name: "init",
  summary: "Begin a project: config, a first function and its test.",
  description:
    "Asks on a terminal; elsewhere, and with --yes, takes the defaults. Never overwrites a file unless told to with --force; package.json and .gitignore are added to.",
  arguments: [{ name: "directory?", summary: "where (default: here)" }],
  options: [
    { flags: "-y, --yes", summary: "take the defaults, ask nothing" },
    { flags: "--name <name>", summary: "name of the application", default: "the directory's" },
    { flags: "--force", summary: "overwrite files that are there" },
  ],
  json: "{ directory, name, files: [{ path, action }] }, action: created, changed or kept",
  examples: [["npx keyfold init shop", "begins a project in ./shop"]],
  async run(context) {
    const { args, output, options, cwd } = context;
    const directory = resolve(cwd, args["directory"] ?? ".");
    const name = await chooseName(context, textOption(options, "name") ?? projectName(directory));
    if (name === undefined) return EXIT.interrupted;
    const files = await planProject(directory, name);
    const clashes = files.filter(({ action }) => action === "clash");
    if (clashes.length > 0 && !switchOption(options, "force")) throw refusal(clashes);
    await writeProject(directory, files);
    const told = files.map(({ path, action }) => ({ path, action: action === "clash" ? "changed" : action }));
    if (output.json) output.document({ directory, name, files: told });
    else {
      for (const { path, action } of told) output.success(`${path}${action === "created" ? "" : output.style(`  ${action}`, "dim")}`);
      const steps = [...(directory === cwd ? [] : [`cd ${relative(cwd, directory) || basename(directory)}`]), "npm install", "npm run dev"];
      output.note(
        [
          "",
          "Next:",
          ...steps.map((step) => `  ${output.style(step, "cyan")}`),
          "",
          "Then, from another terminal:",
          `  ${output.style(FIRST_EVENT, "cyan")}`,
        ].join("\n"),
      );
    }
    return EXIT.ok;
  },
};

const FIRST_EVENT = `curl -d '{"by":1}' -H 'content-type: application/json' http://127.0.0.1:8787/v1/functions/counter/keys/alice`;

function refusal(clashes: readonly PlannedFile[]): KeyfoldError {
  const paths = clashes.map(({ path }) => path);
  return new KeyfoldError(
    "bad-request",
    `${paths.join(", ")} ${paths.length === 1 ? "is" : "are"} there already; nothing was written. Use --force to overwrite, or another directory.`,
    { details: { files: paths } },
  );
}

/** Undefined: the person has changed their mind. */
async function chooseName({ options, output, stdin }: CommandContext, fallback: string): Promise<string | undefined> {
  if (
    switchOption(options, "yes") ||
    textOption(options, "name") !== undefined ||
    output.json ||
    !output.interactive ||
    stdin.isTTY !== true
  )
    return checkedName(fallback);
  const { intro, isCancel, text } = await import("@clack/prompts");
  intro("A new keyfold project", { output: process.stderr });
  const answer = await text({
    message: "Name of the application (part of its topics' names)",
    initialValue: fallback,
    output: process.stderr,
    validate: (value) => (VALID.test(value ?? "") ? undefined : WANTED),
  });
  return isCancel(answer) ? undefined : answer;
}

const VALID = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const WANTED = "Use a-z 0-9 . _ -, beginning with a letter or digit.";

function checkedName(name: string): string {
  if (VALID.test(name)) return name;
  throw new KeyfoldError("bad-request", `${JSON.stringify(name)} cannot be the application's name. ${WANTED}`);
}
