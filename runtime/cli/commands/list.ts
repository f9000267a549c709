import type { Command } from "../command.ts";
import { CLIENT_OPTIONS, hostClient } from "../host-client.ts";

export const list: Command = {
  name: "list",
  summary: "List the functions a host runs.",
  options: CLIENT_OPTIONS,
  json: "{ functions: [...] } as in `GET /v1/functions`",
  async run(context) {
    const { output } = context;
    const answer = { functions: await hostClient(context).functions() };
    if (output.json) output.document(answer);
    else {
      output.table(
        ["FUNCTION", "VERSION", "STATE", "LAG", "READS", "WRITES"],
        answer.functions.map((fn) => [fn.name, fn.version, fn.state, fn.lag, fn.sources.join(", "), fn.sinks.join(", ")]),
      );
      for (const { name, error } of answer.functions) if (error !== undefined) output.warn(`${name}: ${error}`);
    }
    return undefined;
  },
};
