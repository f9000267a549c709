/** Moves a column into a longer one, and returns that. */
export function extended<T extends Float64Array | Int32Array | Uint8Array>(column: T, longer: T): T {
  longer.set(column);
  return longer;
}
