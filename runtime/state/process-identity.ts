import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** Which process holds something, so precisely that a later one with the same number is not taken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The kernel's start time of the process, where it can be known (Linux). */
  readonly started: string | null;
  readonly host: string;
  /** Of the machine's present boot, where it can be known. */
  readonly boot: string | null;
}

export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, started: startTime(process.pid), host: hostname(), boot: readText("/proc/sys/kernel/random/boot_id") };
}

/**
 * Whether that process still runs. "unknown" when this machine cannot tell: it ran on another host or in another container,
 * or start times are not to be had here, so that its number may have been given to another process since.
 */
export function isAlive(who: ProcessIdentity): "alive" | "gone" | "unknown" {
  const self = ownIdentity();
  if (who.host !== self.host) return "unknown";
  if (who.boot !== self.boot) return "gone";
  try {
    process.kill(who.pid, 0);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EPERM")) return "gone";
  }
  if (who.started === null) return "unknown";
  const started = startTime(who.pid);
  return started === null ? "unknown" : started === who.started ? "alive" : "gone";
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may itself hold spaces and parentheses. */
function startTime(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}
