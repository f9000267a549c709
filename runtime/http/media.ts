import { KeyfoldError } from "../errors.ts";

export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";

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
