import type { Command } from "../command.ts";
import { build } from "./build.ts";
import { completion } from "./completion.ts";
import { dev } from "./dev.ts";
import { get } from "./get.ts";
import { init } from "./init.ts";
import { list } from "./list.ts";
import { start } from "./start.ts";
import { tail } from "./tail.ts";
import { tasks } from "./tasks.ts";
import { topics } from "./topics.ts";
import { topology } from "./topology.ts";

/** All commands, in the order of the help. A new one is a file of its own and a line here. */
export function commands(): readonly Command[] {
  return [init, dev, build, start, get, list, tail, topics, topology, tasks, completion];
}
