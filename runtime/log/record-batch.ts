/**
 * Records in Kafka's record batch format v2 (https://kafka.apache.org/documentation/#recordbatch), the one wire and
 * disk form of both logs.
 */

/** Header names and values of one record; a name may come more than once. */
export type Headers = readonly (readonly [name: string, value: Uint8Array | null])[];

/**
 * Decoded records of one partition as columns over one buffer: no object per record. Row i has offset, timestamp and the
 * byte bounds of key and value; a start of -1 is null.
 */
export interface RecordBatch {
  readonly buffer: Buffer;
  readonly length: number;
  readonly offsets: Float64Array;
  readonly timestamps: Float64Array;
  readonly keyStart: Int32Array;
  readonly keyEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  /** Undefined when no record has headers. */
  readonly headers?: readonly (Headers | null)[];
}

export { BatchBuilder, type BatchBuilderOptions } from "./batch-builder.ts";
export { decodeBatches } from "./batch-decoder.ts";
export { keyBytes, keyText, valueBytes, valueText } from "./batch-fields.ts";
export { countRecords, NO_TIMESTAMP } from "./batch-header.ts";
