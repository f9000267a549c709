import type { TaskInfo } from "../../host/api.ts";
import { type Command, textOption } from "../command.ts";
import { CLIENT_OPTIONS, hostClient } from "../host-client.ts";

export const tasks: Command = {
  name: "tasks",
  summary: "List a host's tasks: state, position, lag.",
  options: [{ flags: "--function <name>", summary: "of this function alone" }, ...CLIENT_OPTIONS],
  json: "{ tasks: [...] } as in `GET /v1/tasks` of the internal listener",
  async run(context) {
    const { output, options } = context;
    const only = textOption(options, "function");
    const found = await hostClient(context).tasks();
    const shown = found.filter((task) => only === undefined || task.function === only);
    if (output.json) output.document({ tasks: shown });
    else {
      output.table(
        ["FUNCTION", "TASK", "WORKER", "STATE", "LAG", "ENTRIES", "RESTORED"],
        shown.map((task) => [task.function, task.task, task.worker, stateOf(task), task.lag, total(task.entries), restored(task)]),
      );
    }
    return undefined;
  },
};

/** Of a worker that does not answer, what was last known. */
function stateOf({ state, stale }: TaskInfo): string {
  return stale ? `${state}, no answer` : state;
}

function total(entries: TaskInfo["entries"]): number {
  return Object.values(entries).reduce((sum, n) => sum + n, 0);
}

function restored({ restore }: TaskInfo): string {
  return restore === undefined ? "" : `${restore.store} ${restore.position}/${restore.end}`;
}
