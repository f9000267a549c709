import { KeyfoldError } from "../errors.ts";
import { sameOrigin } from "./loopback.ts";
import { type HttpContext, headerOf } from "./target.ts";

export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";

/**
 * A browser asks first (a preflight, to which there is no answer here) before a page of another origin may send JSON, but lets it
 * send a body without a type. Such a one is not taken for JSON: any page could else write to a host on this machine.
 */
export function refuseForeignPage(c: HttpContext): void {
  const origin = headerOf(c, "origin");
  if (origin === undefined || headerOf(c, "content-type") !== undefined || sameOrigin(origin, headerOf(c, "host"))) return;
  throw new KeyfoldError(
    "media-type-unsupported",
    `a body without a content-type is not taken from a web page of another origin (${JSON.stringify(origin.slice(0, 100))}); send ${JSON_TYPE}`,
  );
}

/** Which body a request announces. No content type means JSON; anything but UTF-8 JSON or NDJSON is refused. */
export function bodyKind(contentType: string | undefined, contentEncoding: string | undefined, ndjson: boolean): "json" | "ndjson" {
  if (contentEncoding !== undefined && contentEncoding !== "identity") {
    throw new KeyfoldError(
      "media-type-unsupported",
      `content-encoding ${JSON.stringify(contentEncoding)} is not supported; send the body as it is`,
    );
  }
  if (contentType === undefined || contentType === JSON_TYPE) return "json";
  const [type = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  for (const parameter of parameters) {
    const charset = /^charset="?([^"]*)"?$/.exec(parameter)?.[1];
    if (charset !== undefined && charset !== "utf-8" && charset !== "utf8") {
      throw new KeyfoldError("media-type-unsupported", `charset ${JSON.stringify(charset)} is not supported; bodies are UTF-8`);
    }
  }
  if (type === JSON_TYPE || (type.startsWith("application/") && type.endsWith("+json"))) return "json";
  const isNdjson = type === NDJSON_TYPE || type === "application/ndjson" || type === "application/jsonl";
  if (isNdjson && ndjson) return "ndjson";
  const wanted = ndjson ? `${JSON_TYPE} or ${NDJSON_TYPE}` : JSON_TYPE;
  const hint = type === "application/x-www-form-urlencoded" ? ` (curl's default: add -H 'content-type: ${JSON_TYPE}')` : "";
  throw new KeyfoldError(
    "media-type-unsupported",
    `content-type ${JSON.stringify(contentType.slice(0, 100))} is not supported here${hint}; send ${wanted}`,
  );
}
