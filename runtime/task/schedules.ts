import type { Cancellable, PunctuationType } from "../topology/topology.ts";

interface Schedule {
  readonly interval: number;
  readonly type: PunctuationType;
  readonly start: number;
  readonly callback: (now: number) => void;
  next: number;
  cancelled: boolean;
}

/** When a schedule is made, epoch ms. */
export interface ScheduledAt {
  readonly now: number;
  /** Stream time of the task, -1 before the first record. */
  readonly streamTime: number;
  /** What wall-clock schedules are aligned to. Default `now`. */
  readonly start?: number;
}

/**
 * Punctuations of one task, with Kafka Streams' alignment: by stream time the first is due at 0 and then at multiples of the
 * interval (a task that restarts goes on with the next multiple); by wall clock one interval after it was scheduled.
 * Several missed firings are one, and the schedule stays aligned.
 */
export class Schedules {
  #list: Schedule[] = [];
  /** Smallest due time by stream time: one comparison a record when nothing is due. */
  #nextStream = Number.POSITIVE_INFINITY;

  add(interval: number, type: PunctuationType, at: ScheduledAt, callback: (now: number) => void): Cancellable {
    if (!Number.isFinite(interval) || interval < 1) throw new RangeError(`schedule: the interval must be at least 1 ms, not ${interval}`);
    const start = type === "stream-time" ? 0 : (at.start ?? at.now);
    const from = type === "stream-time" ? at.streamTime : at.now;
    const next = from < 0 ? 0 : start + (Math.floor((from - start) / interval) + 1) * interval;
    const schedule: Schedule = { interval, type, start, callback, next, cancelled: false };
    this.#list.push(schedule);
    this.#refresh();
    return {
      cancel: () => {
        schedule.cancelled = true;
        this.#list = this.#list.filter((other) => other !== schedule);
        this.#refresh();
      },
    };
  }

  streamDue(streamTime: number): boolean {
    return streamTime >= this.#nextStream;
  }

  /** When the next wall-clock firing is due, epoch ms; Infinity when there is none. */
  nextWall(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const schedule of this.#list) if (schedule.type === "wall-clock" && schedule.next < next) next = schedule.next;
    return next;
  }

  /** Fires what is due, in the order in which it was scheduled. */
  fire(type: PunctuationType, now: number): number {
    let fired = 0;
    for (const schedule of [...this.#list]) {
      if (schedule.cancelled || schedule.type !== type || now < schedule.next) continue;
      const from = type === "stream-time" ? 0 : schedule.start;
      schedule.next = from + (Math.floor((now - from) / schedule.interval) + 1) * schedule.interval;
      fired++;
      schedule.callback(now);
    }
    if (type === "stream-time") this.#refresh();
    return fired;
  }

  clear(): void {
    this.#list = [];
    this.#refresh();
  }

  #refresh(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const schedule of this.#list) if (schedule.type === "stream-time" && schedule.next < next) next = schedule.next;
    this.#nextStream = next;
  }
}
