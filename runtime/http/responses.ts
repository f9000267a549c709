import { JSON_TYPE } from "./media.ts";

const JSON_HEADERS = Object.freeze({ "content-type": JSON_TYPE });
const JSON_INIT = Object.freeze({ headers: JSON_HEADERS });

/** 200 with a JSON text. Plain headers: the Node server writes them without building a `Headers`. */
export function jsonResponse(text: string): Response {
  return new Response(text, JSON_INIT);
}
