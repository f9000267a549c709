import { KeyfoldError } from "../errors.ts";
import { compareUtf8 } from "../state/sorted-keys.ts";
import type { Page } from "../worker/queries.ts";

/** A page ends where it has about so many bytes: states may be large, and a host must not fall over a read. */
export const PAGE_BYTES = 8 * 1024 * 1024;

/** What cursors begin with: that of the empty key must not be empty itself. */
const MARK = "k";

export function cursorOf(key: string): string {
  return MARK + Buffer.from(key).toString("base64url");
}

/** The key a page ended with. */
export function keyOf(cursor: string): string {
  const key = Buffer.from(cursor.slice(MARK.length), "base64url").toString("utf8");
  if (cursorOf(key) !== cursor)
    throw new KeyfoldError("bad-request", `cursor ${JSON.stringify(cursor.slice(0, 64))} is not one that a page gave`);
  return key;
}

interface MergedPage {
  readonly items: string[];
  /** Key of the last item. */
  readonly last: string | undefined;
  readonly more: boolean;
}

/** One page of the pages of all partitions, in key order. Behind the end of a page that has more there may be keys nobody has seen, so it goes no further. */
export function mergePages(pages: readonly Page[], limit: number): MergedPage {
  const all = pages.flatMap((page) => page.items.map(([key, json], i) => ({ key, json, ends: page.more && i === page.items.length - 1 })));
  all.sort((a, b) => compareUtf8(a.key, b.key));
  const end = all.findIndex(({ ends }) => ends);
  const items = all.slice(0, Math.min(limit, end === -1 ? all.length : end + 1));
  return { items: items.map(({ json }) => json), last: items.at(-1)?.key, more: end !== -1 || items.length < all.length };
}
