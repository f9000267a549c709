import { type Command, switchOption } from "../command.ts";
import { CLIENT_OPTIONS, hostClient } from "../host-client.ts";

export const topics: Command = {
  name: "topics",
  summary: "List topics, with partitions and offsets.",
  options: [{ flags: "--all", summary: "changelogs and repartition topics too" }, ...CLIENT_OPTIONS],
  json: "{ topics: [...] } as in `GET /v1/topics` of the internal listener, internal ones with --all",
  async run(context) {
    const { output, options } = context;
    const found = await hostClient(context).topics();
    const shown = found.filter((topic) => switchOption(options, "all") || !topic.internal);
    if (output.json) output.document({ topics: shown });
    else {
      output.table(
        ["TOPIC", "PARTITIONS", "RECORDS", "FROM", "TO", "POLICY"],
        shown.map(({ name, partitions, offsets, config }) => {
          const held = offsets.reduce((sum, { start, end }) => sum + end - start, 0);
          return [
            name,
            partitions,
            held,
            offsets.map(({ start }) => start).join(" "),
            offsets.map(({ end }) => end).join(" "),
            config["cleanup.policy"] ?? "delete",
          ];
        }),
      );
    }
    return undefined;
  },
};
