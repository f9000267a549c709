import { type Command, switchOption } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { PROJECT_OPTIONS } from "../project-options.ts";

export const topology: Command = {
  name: "topology",
  summary: "Show a function's graph: sources, steps, stores, topics, subtopologies.",
  description: "Builds the function and reads its manifest; nothing is started and no log is asked.",
  arguments: [{ name: "function", summary: "name of the function" }],
  options: [{ flags: "--mermaid", summary: "as a Mermaid flowchart, for Markdown" }, ...PROJECT_OPTIONS],
  json: "{ function, subtopologies: [{ id, sources, steps: [{ id, op, name, from, reads, writes, stores }], stores, sinks, repartitions }] }",
  examples: [
    ["keyfold topology hourly-views", "shows the steps and stores of hourly-views"],
    ["keyfold topology hourly-views --mermaid", "the same as a picture"],
  ],
  async run({ output, args, options, ...context }) {
    const [{ build }, { renderTopology }, { projectConfig }] = await Promise.all([
      import("../../bundle/build.ts"),
      import("../../topology/render.ts"),
      import("../project-config.ts"),
    ]);
    const config = await projectConfig({ output, args, options, ...context });
    const name = args["function"] ?? "";
    const { functions, failures } = await build(config, { only: [name] });
    for (const { error } of failures) output.error(error);
    const [built] = functions;
    if (built === undefined) return EXIT.failed;
    const { manifest } = built;
    if (output.json) output.document({ function: name, ...manifest.topology });
    else output.text(renderTopology(name, manifest.topology, switchOption(options, "mermaid") ? "mermaid" : "text").trimEnd());
    return EXIT.ok;
  },
};
