/**
 * The shortest form: a file may export the bare reducer; what it reads is said in `wrangler-like.config.ts`. This one counts,
 * for each airport, the very late flights bound for it, which `airport-stats` emits to the topic `long-delays`.
 */
export default (count = 0): number => count + 1;
