import type { Task } from "../task/task.ts";
import type { TaskStatus } from "./messages.ts";

/** Positions and counters of a task; zeros before there is one. */
export function taskNumbers(task: Task | undefined): Pick<TaskStatus, "positions" | "committed" | "counters"> {
  const positions: Record<string, number> = {};
  const committed: Record<string, number> = {};
  for (const input of task?.inputs ?? []) {
    positions[`${input.topic}[${input.partition}]`] = input.position;
    committed[`${input.topic}[${input.partition}]`] = input.committed;
  }
  const {
    processed = 0,
    failures = 0,
    retries = 0,
    deadLettered = 0,
    punctuations = 0,
    commits = 0,
    rollbacks = 0,
    dropped = {},
  } = task?.metrics ?? {};
  return {
    positions,
    committed,
    counters: { processed, failures, retries, deadLettered, punctuations, commits, rollbacks, dropped: { ...dropped } },
  };
}
