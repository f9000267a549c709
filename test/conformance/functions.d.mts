type Value = unknown;
type Key = string | null;

export function keyText(key: string, windowStart: number, windowEnd: number): string;
export function predicate(name: string): (key: Key, value: Value) => boolean;
export function valueMapper(name: string): (key: Key, value: Value) => Value;
export function keySelector(name: string): (key: Key, value: Value) => string | null;
export function pairMapper(name: string): (key: Key, value: Value) => [Key, Value];
export function flatPairMapper(name: string): (key: Key, value: Value) => [Key, Value][];
export function flatValueMapper(name: string): (value: Value) => Value[];
export function reducer(name: string): (aggregate: Value, value: Value) => Value;
export function aggregator(name: string): (key: Key, value: Value, aggregate: Value) => Value;
export function merger(name: string): (earlier: Value, later: Value) => Value;
export function joiner(name: string): (left: Value, right: Value) => Value;
