// The time range of everything on the page, from the URL: `?range=15m`, or `?from=…&to=…` after a zoom (Unix seconds).
import { computed } from "@preact/signals";
import { query, setQuery } from "../router";
import { now } from "./store";

export const RANGES = { "2m": 120, "5m": 300, "15m": 900, "1h": 3_600 } as const;
export type RangeName = keyof typeof RANGES;
export const RANGE_DEFAULT: RangeName = "5m";

export interface Range {
  /** Unix seconds. */
  from: number;
  to: number;
  /** Its end is now. */
  isLive: boolean;
}

export const rangeName = computed<RangeName>(() => {
  const name = query.value.get("range") ?? "";
  return name in RANGES ? (name as RangeName) : RANGE_DEFAULT;
});

export const range = computed<Range>(() => {
  const [from, to] = [query.value.get("from"), query.value.get("to")].map((text) => (text ? Number(text) : Number.NaN));
  if (from !== undefined && to !== undefined && from < to) return { from, to, isLive: false };
  const end = Math.floor(now.value / 1000);
  return { from: end - RANGES[rangeName.value], to: end, isLive: true };
});

export function zoom(from: number, to: number): void {
  setQuery({ from: Math.floor(from).toString(), to: Math.ceil(to).toString() }, false);
}

export function setRange(name: RangeName): void {
  setQuery({ range: name === RANGE_DEFAULT ? null : name, from: null, to: null });
}
