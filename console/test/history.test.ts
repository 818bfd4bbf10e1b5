import { expect, test } from "vitest";
import type { ReleaseTraffic, TrafficView } from "../src/api/types";
import { SECONDS_MAX, addReport, columns, emptyHistory, recent, seriesKey, totals } from "../src/live/history";
import { pack, unpack } from "../src/live/keep";

function traffic(release: number, rate: number, more: Partial<ReleaseTraffic> = {}): ReleaseTraffic {
  return {
    app: "shop", service: "web", release, requests: 0, errors: 0, client_aborts: 0, in_flight: 0, bytes_out: 0, rate, error_rate: 0,
    p50_ms: rate > 0 ? 1 : null, p99_ms: rate > 0 ? 3 : null, is_active: true, ...more,
  };
}

const report = (...lines: ReleaseTraffic[]): TrafficView => ({ balancers: [{ name: "local", table_version: 1, generation: 1, traffic: lines }] });

test("balancers are summed; percentiles are not", () => {
  const view: TrafficView = {
    balancers: [
      { name: "a", table_version: 1, generation: 1, traffic: [traffic(1, 30, { p50_ms: 1, p99_ms: 5, in_flight: 2, is_active: false })] },
      { name: "b", table_version: 1, generation: 1, traffic: [traffic(1, 10, { p50_ms: 5, p99_ms: 9, in_flight: 1, error_rate: 2 })] },
    ],
  };
  expect(totals(view).get(seriesKey("shop", 1))).toMatchObject({ rate: 40, errors: 2, inFlight: 3, p50: 2, p99: 9, isActive: true });
});

test("a second that nobody reported stays a gap", () => {
  const history = emptyHistory();
  addReport(history, report(traffic(1, 10)), 100);
  addReport(history, report(traffic(1, 11)), 101);
  addReport(history, report(traffic(1, 12)), 110);
  expect(columns(history, "rate", 0, 200)).toEqual({
    times: [100, 101, 109, 110],
    lines: [{ app: "shop", release: 1, isActive: true, values: [10, 11, null, 12] }],
  });
});

test("two reports in one second count once, and a clock that goes back is ignored", () => {
  const history = emptyHistory();
  addReport(history, report(traffic(1, 10)), 100);
  addReport(history, report(traffic(1, 20)), 100);
  addReport(history, report(traffic(1, 30)), 99);
  expect(columns(history, "rate", 0, 200).lines[0]?.values).toEqual([20]);
});

test("a release that comes later has gaps before, one that is past and silent is not drawn", () => {
  const history = emptyHistory();
  addReport(history, report(traffic(1, 10)), 100);
  addReport(history, report(traffic(1, 0, { is_active: false }), traffic(2, 10)), 101);
  addReport(history, report(traffic(1, 0, { is_active: false }), traffic(2, 10)), 102);
  expect(columns(history, "rate", 0, 200).lines.map((line) => line.values)).toEqual([[10, 0, 0], [null, 10, 10]]);
  expect(columns(history, "rate", 101, 200).lines.map((line) => line.release)).toEqual([2]);
  expect(columns(history, "rate", 0, 200, "blog").lines).toEqual([]);
});

test("an hour is kept, and so many releases", () => {
  const history = emptyHistory();
  for (let second = 0; second < SECONDS_MAX + 200; second += 1) addReport(history, report(traffic(1, 1)), second);
  expect(history.times.length).toBeGreaterThanOrEqual(SECONDS_MAX);
  expect(history.times.length).toBeLessThan(SECONDS_MAX + 60);
  expect(history.series.get(seriesKey("shop", 1))?.samples.length).toBe(history.times.length);
  for (let release = 2; release < 100; release += 1) addReport(history, report(traffic(release, 1)), SECONDS_MAX + 200 + release);
  expect(history.series.size).toBe(48);
  expect(history.refused).toBeGreaterThan(0);
});

test("a silent release makes room", () => {
  const history = emptyHistory();
  for (let release = 1; release <= 48; release += 1) addReport(history, report(traffic(release, 0, { is_active: false })), 1);
  addReport(history, report(traffic(49, 5)), 2);
  expect(history.series.has(seriesKey("shop", 49))).toBe(true);
});

test("the recent mean leaves gaps out", () => {
  const history = emptyHistory();
  addReport(history, report(traffic(1, 10, { p99_ms: 4 })), 100);
  addReport(history, report(traffic(1, 20, { p99_ms: 8, in_flight: 7 })), 101);
  expect(recent(history.series.get(seriesKey("shop", 1)))).toMatchObject({ rate: 15, p99: 8, inFlight: 7 });
  expect(recent(undefined)).toBeNull();
});

test("the history survives a reload, without what is too old, and anything odd is empty", () => {
  const history = emptyHistory();
  addReport(history, report(traffic(1, 10.12345)), 100);
  addReport(history, report(traffic(1, 11)), 101);
  const text = pack(history);
  expect(columns(unpack(text, 102), "rate", 0, 200).lines[0]?.values).toEqual([10.123, 11]);
  expect(unpack(text, 100 + SECONDS_MAX).times).toEqual([101]);
  for (const odd of [null, "", "{}", "[]", "x", `{"version":1}`]) expect(unpack(odd, 102)).toEqual(emptyHistory());
});
