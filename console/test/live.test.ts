import { expect, test } from "vitest";
import type { DeployStep, Event, EventRecord } from "../src/api/types";
import { EVENTS_MAX, addEvents } from "../src/live/feed";
import { OUTPUT_MAX, addOutput, addStep, outputLines } from "../src/live/steps";

const record = (id: number, event: Event = { kind: "logged_in", who: "admin" }): EventRecord => ({ id, at: id, event });

test("events that come twice are kept once, build output not at all, and the number is bounded", () => {
  const kept = addEvents([record(1), record(2)], [record(2), record(3), record(4, { kind: "deploy_output", deploy: 1, line: "x" })]);
  expect(kept.map(({ id }) => id)).toEqual([1, 2, 3]);
  expect(addEvents(kept, [record(3)])).toBe(kept);
  const many = addEvents([], Array.from({ length: EVENTS_MAX + 5 }, (_, index) => record(index + 1)));
  expect([many.length, many[0]?.id]).toEqual([EVENTS_MAX, 6]);
});

test("a step begins, tells more and ends in its place", () => {
  const step = (name: string, detail: string, ended: boolean, millis = 0): DeployStep => ({ step: name, detail, ended, millis });
  let steps: DeployStep[] = [];
  for (const next of [step("build", "", false), step("build", "2 of 4", false), step("build", "done", true, 5), step("start", "", false)]) steps = addStep(steps, next);
  expect(steps).toEqual([step("build", "done", true, 5), step("start", "", false)]);
  // The story told again, as a stream that comes again does.
  expect([step("build", "done", true, 5), step("start", "", false)].reduce(addStep, steps)).toEqual(steps);
  // The same step a second time (undo, or another service).
  expect(addStep([step("stop", "a", true, 1)], step("stop", "b", false))).toHaveLength(2);
});

test("output comes as lines in several forms and is bounded", () => {
  expect(outputLines({ line: "a" })).toEqual(["a"]);
  expect(outputLines({ lines: ["a", "b"] })).toEqual(["a", "b"]);
  expect(outputLines("a\nb")).toEqual(["a", "b"]);
  expect(outputLines(null)).toEqual([]);
  const lines = addOutput(Array(OUTPUT_MAX).fill("x"), ["last"]);
  expect([lines.length, lines.at(-1)]).toEqual([OUTPUT_MAX, "last"]);
});
