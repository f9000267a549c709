import { deepFreeze } from "../freeze.ts";
import { ForwardingStore } from "./forwarding.ts";

/** Dev only: what is put is frozen at once, and the codec freezes what it decodes, so that everything given out is frozen. */
export class FreezingStore<V> extends ForwardingStore<V> {
  override put(key: string, value: V, timestamp: number): void {
    deepFreeze(value);
    this.inner.put(key, value, timestamp);
  }
}
