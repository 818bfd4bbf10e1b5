// The charts that several pages show: requests, errors and latency by release, over the page's range.
import { duration, rate } from "../format";
import { type Metric, columns } from "../live/history";
import { range } from "../live/range";
import { scope } from "../live/scope";
import { events, history, historyVersion } from "../live/store";
import { marks } from "../words/events";
import { Chart } from "./chart";
import type { Line } from "./plot";

interface Shown {
  title: string;
  unit: string;
  metric: Metric;
  format: (value: number | null) => string;
}

const CHARTS = {
  requests: { title: "Requests", unit: "requests a second", metric: "rate", format: rate },
  errors: { title: "Errors", unit: "answers with 500 or more, a second", metric: "errors", format: rate },
  median: { title: "Latency, median", unit: "time to answer, p50 of each second", metric: "p50", format: duration },
  latency: { title: "Latency, p99", unit: "time to answer, p99 of each second", metric: "p99", format: duration },
} satisfies Record<string, Shown>;

interface Props {
  which: (keyof typeof CHARTS)[];
  app?: string | undefined;
  /** Only these releases. */
  releases?: readonly number[];
}

export function TrafficCharts({ which, app, releases }: Props) {
  // Read so that this is drawn again each second and with each change.
  void historyVersion.value;
  const { from, to } = range.value;
  const shownMarks = marks(events.value, from * 1000, to * 1000, { ...scope.value, app: app ?? scope.value.app });
  return (
    <div class="charts">
      {which.map((key) => {
        const { title, unit, metric, format } = CHARTS[key];
        const { times, lines } = columns(history, metric, from, to, app);
        const wanted = lines.filter((line) => releases === undefined || releases.includes(line.release));
        return <Chart key={key} title={title} unit={unit} format={format} times={times} lines={toLines(wanted, app)} marks={shownMarks} />;
      })}
    </div>
  );
}

/** A release keeps its colour on every chart and page: it follows from the number of the release. */
function toLines(lines: ReturnType<typeof columns>["lines"], app: string | undefined): Line[] {
  return lines.map((line) => ({
    label: app === undefined ? `${line.app || "routes"} r${line.release}` : `r${line.release}`,
    hue: (line.release + hash(line.app)) % 6,
    isDashed: !line.isActive,
    values: line.values,
  }));
}

function hash(text: string): number {
  let sum = 0;
  for (const letter of text) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9_973;
  return sum;
}
