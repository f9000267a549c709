import type { ErrorPolicy } from "../config/resolved.ts";
import type { LoadedFunction } from "./functions.ts";

/** A function's error policy, defaults filled in. */
export function errorPolicy({ settings, application }: LoadedFunction): {
  onError: ErrorPolicy;
  retries: number;
  backoffMs: number;
  deadLetterTopic: string;
} {
  return {
    onError: settings.onError ?? "dead-letter",
    retries: settings.retries ?? 5,
    backoffMs: settings["retry.backoff.ms"] ?? 100,
    deadLetterTopic: settings["errors.dead.letter.queue.topic.name"] ?? `${application}-dead-letters`,
  };
}
