import { expect, test } from "vitest";
import type { LogLine } from "../src/api/types";
import { NOTHING, ROWS_MAX, addTold, filterTail } from "../src/words/tail";

const line = (text: string, at: number | bigint, rest: Partial<LogLine> = {}): { line: LogLine } => ({
  line: { host: "web1", instance: "shop-web-r1-1", at: String(at), stream: "stdout", text, ...rest },
});
const texts = (tail: typeof NOTHING) => tail.entries.map((entry) => ("line" in entry ? entry.line.text : `! ${entry.note.message}`));

test("what was told before a lost connection does not come twice", () => {
  const first = addTold(NOTHING, [line("a", 10), line("b", 20), line("other", 5, { instance: "shop-web-r1-2" })], 0);
  const again = addTold(first, [line("a", 10), line("b", 20), line("other", 5, { instance: "shop-web-r1-2" }), line("c", 30)], 0);
  expect(texts(again)).toEqual(["a", "b", "other", "c"]);
});

test("times are compared as the nanoseconds that they are", () => {
  // Two that are one number in JavaScript.
  const [one, two] = [1_795_507_200_000_000_001n, 1_795_507_200_000_000_002n];
  expect(texts(addTold(NOTHING, [line("a", one), line("b", two)], 0))).toEqual(["a", "b"]);
  expect(addTold(NOTHING, [line("a", one)], 0).entries[0]?.at).toBe(1_795_507_200_000);
});

test("a line without a time is shown as often as it comes", () => {
  expect(texts(addTold(NOTHING, [line("a", 0), line("a", 0)], 0))).toEqual(["a", "a"]);
});

test("the oldest rows go when there are too many, and the page can say how many", () => {
  const many = Array.from({ length: ROWS_MAX + 7 }, (_, index) => line(String(index), index + 1));
  const tail = addTold(NOTHING, many, 0);
  expect([tail.entries.length, tail.gone, texts(tail)[0]]).toEqual([ROWS_MAX, 7, "7"]);
  expect(addTold(tail, [line("more", 1_000_000)], 0).gone).toBe(8);
});

test("a filter leaves what says that something is missing", () => {
  const tail = addTold(NOTHING, [
    line("GET /up", 1), line("Error", 2, { stream: "stderr" }), line("GET /", 3, { host: "web2" }), { note: { host: "web3", message: "it is lost" } },
  ], 0);
  const left = (filter: Partial<Parameters<typeof filterTail>[1]>) =>
    texts({ ...tail, entries: filterTail(tail.entries, { text: "", stream: undefined, host: undefined, ...filter }) });
  expect(left({ text: "get" })).toEqual(["GET /up", "GET /", "! it is lost"]);
  expect(left({ stream: "stderr" })).toEqual(["Error", "! it is lost"]);
  expect(left({ host: "web2" })).toEqual(["GET /"]);
});
