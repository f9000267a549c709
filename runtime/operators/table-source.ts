import type { TaskContext } from "../topology/topology.ts";
import type { Rows, RowWriter } from "./rows.ts";
import type { StreamTarget, TableTarget } from "./targets.ts";

/** A topic or stream as a table: every record is an update of its key's row, whatever its timestamp. */
export function tableSource(context: TaskContext, writer: RowWriter): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (key === null) {
        context.dropped("null-key");
        return;
      }
      if (writer.write(key, value, writer.old(key), timestamp) === "expired") context.dropped("expired");
    },
  };
}

/** A table that nothing needs the rows of: its updates only pass through. */
export function unstoredTableSource(context: TaskContext, next: TableTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (key === null) context.dropped("null-key");
      else next.update(key, value, null, timestamp, true);
    },
  };
}

/** Keeps a global table's copy up to date; it triggers nothing. */
export function globalTableSource(context: TaskContext, rows: Rows): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (key === null) context.dropped("null-key");
      else rows.put(key, value, timestamp);
    },
  };
}
