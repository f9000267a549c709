import { type Progress, progress } from "./progress.ts";

/** Where the demo's words go: text for people, or JSON lines for programs. */
export interface Output {
  /** A line for people, on stderr. */
  say(text: string): void;
  /** A result for people, on stdout. */
  print(text: string): void;
  /** An event for programs, a JSON line on stdout. */
  tell(event: string, fields?: object): void;
  progress(label: string): Progress;
}

export function forPeople(): Output {
  return {
    say: (text) => void process.stderr.write(`${text}\n`),
    print: (text) => void process.stdout.write(`${text}\n`),
    tell() {},
    progress,
  };
}

export function forPrograms(): Output {
  const tell = (event: string, fields: object = {}): void => void process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
  return {
    say() {},
    print() {},
    tell,
    progress: (step) => ({ update: (done, total) => tell("progress", { step, done, total }), end() {} }),
  };
}
