import { KeyfoldError } from "../errors.ts";

/**
 * A task's life:
 *
 *   CREATED ──▶ RESTORING ──▶ RUNNING ◀──▶ PAUSED (waits before a retry)
 *      │            │  ▲          │  │         │
 *      │            │  └──────────┘  │         │     (rollback: back to the last commit)
 *      ▼            ▼                ▼         ▼
 *   CLOSED ◀──── SUSPENDED ◀─────────┴─────────┘
 *      ▲                              │
 *      └────────── FAILED ◀───────────┘              (policy `fail`, or nothing else helps)
 */
export type TaskState = "CREATED" | "RESTORING" | "RUNNING" | "PAUSED" | "SUSPENDED" | "FAILED" | "CLOSED";

const ALLOWED: Readonly<Record<TaskState, readonly TaskState[]>> = {
  CREATED: ["RESTORING", "SUSPENDED", "FAILED", "CLOSED"],
  RESTORING: ["RUNNING", "PAUSED", "SUSPENDED", "FAILED", "CLOSED"],
  RUNNING: ["RESTORING", "PAUSED", "SUSPENDED", "FAILED"],
  PAUSED: ["RUNNING", "RESTORING", "SUSPENDED", "FAILED"],
  SUSPENDED: ["RESTORING", "FAILED", "CLOSED"],
  FAILED: ["CLOSED"],
  CLOSED: [],
};

export function mayMove(from: TaskState, to: TaskState): boolean {
  return ALLOWED[from].includes(to);
}

/** The state after a transition; one that the table does not have is a bug of ours and says so. */
export function moved(task: string, from: TaskState, to: TaskState): TaskState {
  if (!mayMove(from, to)) {
    throw new KeyfoldError("internal", `task ${task}: no transition from ${from} to ${to}`, {
      remedy: "fatal",
      details: { task, from, to },
    });
  }
  return to;
}
