import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openStream } from "../src/api/stream";

/** An EventSource that the test plays. */
class Played extends EventTarget {
  static all: Played[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {
    super();
    Played.all.push(this);
  }
  say(name: string, data: string, lastEventId = ""): void {
    this.dispatchEvent(Object.assign(new globalThis.Event(name), { data, lastEventId }));
  }
  fail(readyState: number): void {
    this.readyState = readyState;
    this.onerror?.();
  }
  close(): void {
    this.readyState = 2;
  }
}

const source = Played as unknown as new (url: string) => EventSource;

beforeEach(() => {
  Played.all = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("events arrive parsed, with their names", () => {
  const heard: unknown[] = [];
  openStream("/deploys/1/stream", { onEvent: (name, data) => heard.push([name, data]) }, { names: ["step"], source });
  Played.all[0]?.say("message", `{"a":1}`);
  Played.all[0]?.say("step", "no json");
  Played.all[0]?.say("other", "1");
  expect(heard).toEqual([["message", { a: 1 }], ["step", "no json"]]);
  expect(Played.all[0]?.url).toBe("/api/v1/deploys/1/stream");
});

test("a stream that the browser gave up is opened again after the last id, later each time", () => {
  const live: boolean[] = [];
  openStream("/events/stream?output=false", { onEvent: () => {}, onLive: (isLive) => live.push(isLive) }, { after: 3, source });
  expect(Played.all[0]?.url).toBe("/api/v1/events/stream?output=false&after=3");
  Played.all[0]?.onopen?.();
  Played.all[0]?.say("message", "1", "7");
  Played.all[0]?.fail(0);
  vi.advanceTimersByTime(60_000);
  expect(Played.all, "the browser connects again by itself").toHaveLength(1);
  Played.all[0]?.fail(2);
  vi.advanceTimersByTime(500);
  expect(Played.all[1]?.url).toBe("/api/v1/events/stream?output=false&after=7");
  Played.all[1]?.fail(2);
  vi.advanceTimersByTime(999);
  expect(Played.all).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(Played.all).toHaveLength(3);
  expect(live).toEqual([true, false, false, false]);
});

test("it ends with the last event, and when it is closed", () => {
  openStream("/deploys/1/stream", { onEvent: () => {} }, { names: ["end"], last: "end", source });
  Played.all[0]?.say("end", "{}");
  expect(Played.all[0]?.readyState).toBe(2);
  const close = openStream("/events/stream", { onEvent: () => {} }, { source });
  Played.all[1]?.fail(2);
  close();
  vi.advanceTimersByTime(60_000);
  expect(Played.all).toHaveLength(2);
});
