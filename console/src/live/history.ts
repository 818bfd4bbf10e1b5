// The last hour of traffic by release, one value a second. Pure: given reports, it keeps columns; a chart reads them.
//
// Bounds: an hour of seconds, 48 releases. A second without a report stays a gap.
import type { TrafficView } from "../api/types";

export const SECONDS_MAX = 3_600;
const SERIES_MAX = 48;

export interface Sample {
  rate: number;
  errors: number;
  inFlight: number;
  p50: number | null;
  p99: number | null;
}

export interface Series {
  app: string;
  release: number;
  isActive: boolean;
  /** By second, as many as `History.times`; `null` is a gap. */
  samples: (Sample | null)[];
}

export interface History {
  /** Unix seconds, ascending. */
  times: number[];
  series: Map<string, Series>;
  /** Releases that did not fit. */
  refused: number;
}

export const emptyHistory = (): History => ({ times: [], series: new Map(), refused: 0 });

export const seriesKey = (app: string, release: number): string => `${app} ${release}`;

interface Total extends Sample {
  app: string;
  release: number;
  isActive: boolean;
}

/** Sums a report over balancers and services, by application and release. Percentiles can't be summed: the slowest
 *  balancer's p99 and the p50 weighted by requests stand for all. */
export function totals(view: TrafficView): Map<string, Total> {
  const found = new Map<string, Total>();
  for (const balancer of view.balancers) {
    for (const traffic of balancer.traffic) {
      const key = seriesKey(traffic.app, traffic.release);
      const before = found.get(key);
      const total: Total = before ?? {
        app: traffic.app, release: traffic.release, isActive: false, rate: 0, errors: 0, inFlight: 0, p50: null, p99: null,
      };
      total.p50 = weighted(total.p50, total.rate, traffic.p50_ms, traffic.rate);
      total.p99 = largest(total.p99, traffic.p99_ms);
      total.rate += traffic.rate;
      total.errors += traffic.error_rate;
      total.inFlight += traffic.in_flight;
      total.isActive ||= traffic.is_active;
      found.set(key, total);
    }
  }
  return found;
}

function weighted(a: number | null, aWeight: number, b: number | null, bWeight: number): number | null {
  if (a === null || b === null) return a ?? b;
  const weight = aWeight + bWeight;
  return weight === 0 ? Math.max(a, b) : (a * aWeight + b * bWeight) / weight;
}

const largest = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.max(a, b);

/** Adds the report of one second, in place. A second report in the same second replaces the first. */
export function addReport(history: History, view: TrafficView, second: number): void {
  const last = history.times.at(-1);
  if (last !== undefined && second < last) return; // The clock went back; the next second will do.
  if (last !== second) {
    // A lost connection is a gap: one null, so that the line breaks there.
    if (last !== undefined && second - last > 3) append(history, second - 1);
    append(history, second);
  }
  const index = history.times.length - 1;
  for (const [key, total] of totals(view)) {
    let series = history.series.get(key);
    if (!series) {
      if (history.series.size >= SERIES_MAX && !dropSilent(history)) {
        history.refused += 1;
        continue;
      }
      series = { app: total.app, release: total.release, isActive: false, samples: Array(history.times.length).fill(null) };
      history.series.set(key, series);
    }
    const { rate, errors, inFlight, p50, p99 } = total;
    series.isActive = total.isActive;
    series.samples[index] = { rate, errors, inFlight, p50, p99 };
  }
}

function append(history: History, second: number): void {
  history.times.push(second);
  for (const series of history.series.values()) series.samples.push(null);
  // Cut in steps, so that not every second moves every array.
  const surplus = history.times.length - SECONDS_MAX;
  if (surplus < 60) return;
  history.times.splice(0, surplus);
  for (const [key, series] of history.series) {
    series.samples.splice(0, surplus);
    if (series.samples.every((sample) => sample === null)) history.series.delete(key);
  }
}

/** Makes room: removes a release that had no request in all the time that is kept. */
function dropSilent(history: History): boolean {
  for (const [key, series] of history.series) {
    if (!series.isActive && series.samples.every((sample) => !sample?.rate)) {
      history.series.delete(key);
      return true;
    }
  }
  return false;
}

export type Metric = "rate" | "errors" | "p50" | "p99" | "inFlight";

export interface Columns {
  times: number[];
  lines: { app: string; release: number; isActive: boolean; values: (number | null)[] }[];
}

/** What a chart draws: `metric` of each release that had requests in `[from, to]`, by application and release. */
export function columns(history: History, metric: Metric, from: number, to: number, app?: string): Columns {
  let first = history.times.findIndex((time) => time >= from);
  if (first < 0) first = history.times.length;
  let end = history.times.length;
  while (end > first && (history.times[end - 1] ?? 0) > to) end -= 1;
  const lines: Columns["lines"] = [];
  for (const series of history.series.values()) {
    if (app !== undefined && series.app !== app) continue;
    const samples = series.samples.slice(first, end);
    if (!series.isActive && !samples.some((sample) => sample !== null && (sample.rate > 0 || sample.inFlight > 0))) continue;
    lines.push({
      app: series.app,
      release: series.release,
      isActive: series.isActive,
      values: samples.map((sample) => sample?.[metric] ?? null),
    });
  }
  lines.sort((a, b) => a.app.localeCompare(b.app) || a.release - b.release);
  return { times: history.times.slice(first, end), lines };
}

/** The mean of the last `seconds` of one release; `null` when nothing was heard. */
export function recent(series: Series | undefined, seconds = 10): Sample | null {
  const samples = (series?.samples.slice(-seconds) ?? []).filter((sample) => sample !== null);
  if (samples.length === 0) return null;
  const mean = (pick: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + pick(sample), 0) / samples.length;
  const worst = (pick: (sample: Sample) => number | null) => samples.reduce<number | null>((most, sample) => largest(most, pick(sample)), null);
  return {
    rate: mean((sample) => sample.rate),
    errors: mean((sample) => sample.errors),
    inFlight: samples.at(-1)?.inFlight ?? 0,
    p50: worst((sample) => sample.p50),
    p99: worst((sample) => sample.p99),
  };
}
