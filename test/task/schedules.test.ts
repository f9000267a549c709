import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Schedules } from "../../runtime/task/schedules.ts";

describe("schedules", () => {
  test("by stream time: due at multiples of the interval; what was missed is one firing", () => {
    const schedules = new Schedules();
    const fired: number[] = [];
    schedules.add(10, "stream-time", { now: 0, streamTime: -1 }, (now) => fired.push(now));
    for (const time of [3, 9, 10, 14, 35, 36, 40]) if (schedules.streamDue(time)) schedules.fire("stream-time", time);
    assert.deepEqual(fired, [3, 10, 35, 40]);
  });

  test("a task that starts again goes on with the next multiple", () => {
    const schedules = new Schedules();
    schedules.add(10, "stream-time", { now: 0, streamTime: 25 }, () => {});
    assert.equal(schedules.streamDue(29), false);
    assert.equal(schedules.streamDue(30), true);
  });

  test("by the clock: one interval after it was made, and aligned to that for ever", () => {
    const schedules = new Schedules();
    const fired: number[] = [];
    schedules.add(100, "wall-clock", { now: 1_007, streamTime: -1 }, (now) => fired.push(now));
    assert.equal(schedules.nextWall(), 1_107);
    schedules.fire("wall-clock", 1_106);
    schedules.fire("wall-clock", 1_150);
    assert.equal(schedules.nextWall(), 1_207);
    schedules.fire("wall-clock", 1_999);
    assert.equal(schedules.nextWall(), 2_007);
    assert.deepEqual(fired, [1_150, 1_999]);
  });

  test("any times, any intervals: one firing for each interval that something happened in", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 100 }), (interval, steps) => {
        const schedules = new Schedules();
        const fired: number[] = [];
        schedules.add(interval, "stream-time", { now: 0, streamTime: -1 }, (now) => fired.push(now));
        let time = 0;
        const slots = new Set<number>();
        for (const by of steps) {
          time += by;
          if (schedules.streamDue(time)) schedules.fire("stream-time", time);
          slots.add(Math.floor(time / interval));
        }
        assert.equal(fired.length, slots.size);
        assert.deepEqual(
          fired.map((at) => Math.floor(at / interval)),
          [...slots],
        );
      }),
    );
  });

  test("cancelled ones do not fire, not even by one that fires with them; intervals below 1 ms are refused", () => {
    const schedules = new Schedules();
    const fired: string[] = [];
    const first = schedules.add(5, "stream-time", { now: 0, streamTime: -1 }, () => {
      fired.push("first");
      second.cancel();
    });
    const second = schedules.add(5, "stream-time", { now: 0, streamTime: -1 }, () => fired.push("second"));
    assert.equal(schedules.fire("stream-time", 5), 1);
    first.cancel();
    first.cancel();
    assert.equal(schedules.streamDue(100), false);
    assert.deepEqual(fired, ["first"]);
    for (const interval of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      assert.throws(() => schedules.add(interval, "wall-clock", { now: 0, streamTime: 0 }, () => {}), RangeError);
  });
});
