/** Since Node 22. */
interface Movable {
  readonly detached?: boolean;
  transfer?(bytes: number): ArrayBuffer;
}

/**
 * Gives back the memory of a buffer that nobody will look into again, now and not at some collection: V8 counts what buffers hold,
 * and walks its whole heap when that is much.
 */
export function letGo(data: ArrayBufferView): void {
  const buffer = data.buffer as ArrayBufferLike & Movable;
  // Of a view that shares its memory with others, nothing is known.
  if (buffer.byteLength === data.byteLength && buffer.detached === false) buffer.transfer?.(0);
}
