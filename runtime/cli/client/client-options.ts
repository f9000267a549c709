import { type CommandContext, type Option, textOption } from "../command.ts";
import { usageError } from "../usage.ts";
import { HostClient } from "./host-client.ts";

/** Options of every command that asks a running host. */
export const CLIENT_OPTIONS: readonly Option[] = [
  { flags: "--url <url>", summary: "public listener of the host", default: "http://127.0.0.1:8787" },
  { flags: "--internal-url <url>", summary: "internal listener of the host", default: "http://127.0.0.1:8788" },
];

export function hostClient({ options, environment }: CommandContext): HostClient {
  const token = environment["KEYFOLD_TOKEN"];
  return new HostClient({
    url: checked(textOption(options, "url") ?? environment["KEYFOLD_URL"] ?? "http://127.0.0.1:8787", "--url"),
    internalUrl: checked(
      textOption(options, "internalUrl") ?? environment["KEYFOLD_INTERNAL_URL"] ?? "http://127.0.0.1:8788",
      "--internal-url",
    ),
    ...(token ? { token } : {}),
  });
}

function checked(url: string, option: string): string {
  if (/^https?:\/\/./.test(url) && URL.canParse(url)) return url;
  throw usageError(`${option}: ${JSON.stringify(url)} is not a URL such as "http://127.0.0.1:8787"`);
}
