// A chart of the page: lines over the page's time range, unit on the axis, legend with last, least, most and mean.
import type uPlot from "uplot";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { range, zoom, setRange, rangeName } from "../live/range";
import { themeVersion } from "../theme";
import type { Mark } from "../words/events";
import type { Line } from "./plot";
import { summary } from "./summary";

type PlotModule = typeof import("./plot");
let loading: Promise<PlotModule> | undefined;

/** Once more when it fails, for the same reason as in api/client.ts. */
const load = (): Promise<PlotModule> => import("./plot").catch(() => new Promise((resolve) => setTimeout(resolve, 300)).then(() => import("./plot")));

interface Props {
  title: string;
  /** In words, beside the title. */
  unit: string;
  format: (value: number | null) => string;
  times: number[];
  lines: Line[];
  marks: readonly Mark[];
  height?: number;
}

export function Chart({ title, unit, format, times, lines, marks, height = 180 }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [module, setModule] = useState<PlotModule | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const marksNow = useRef(marks);
  marksNow.current = marks;
  const data = useMemo(() => [times, ...lines.map((line) => line.values)], [times, lines]);
  const dataNow = useRef(data);
  dataNow.current = data;
  // A new plot only when lines come or go, or colours change; new values go into the one that is there.
  const shape = lines.map((line) => `${line.label}/${line.hue}/${line.isDashed}`).join("\n");
  const colours = themeVersion.value;

  useEffect(() => {
    let isGone = false;
    loading ??= load();
    loading.then(
      (loaded) => {
        if (!isGone) setModule(loaded);
      },
      // The legend has the figures; the next chart tries again.
      () => {
        loading = undefined;
      },
    );
    return () => {
      isGone = true;
    };
  }, []);

  useEffect(() => {
    const element = root.current;
    if (!module || !element) return;
    const made = module.makePlot(element, {
      width: element.clientWidth,
      height,
      unit: format,
      lines,
      range: () => [range.peek().from, range.peek().to],
      marks: () => marksNow.current,
      onZoom: zoom,
      onReset: () => setRange(rangeName.peek()),
      onCursor: setCursor,
    }, dataNow.current);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [module, shape, colours, height]);

  const { from, to } = range.value;
  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data, from, to, marks]);

  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <span class="soft">{unit}</span>
      </figcaption>
      <div ref={root} class="plot" style={{ height: `${height}px` }} role="img" aria-label={describe(title, unit, lines, format)} />
      <Legend lines={lines} format={format} cursor={cursor} />
    </figure>
  );
}

function Legend({ lines, format, cursor }: Pick<Props, "lines" | "format"> & { cursor: number | null }) {
  if (lines.length === 0) return <p class="soft legend-none">No requests in this time.</p>;
  const isPointed = cursor !== null && lines.some((line) => line.values[cursor] !== undefined);
  return (
    <table class="legend">
      <thead>
        <tr><th scope="col">Release</th><th scope="col">{isPointed ? "here" : "last"}</th><th scope="col">min</th><th scope="col">max</th><th scope="col">avg</th></tr>
      </thead>
      <tbody>
        {lines.map((line) => {
          const values = line.values.filter((value) => value !== null);
          const shown = isPointed ? (line.values[cursor] ?? null) : (values.at(-1) ?? null);
          const { min, max, mean } = summary(values);
          return (
            <tr key={line.label}>
              <th scope="row"><span class={`swatch hue-${(line.hue % 6) + 1} ${line.isDashed ? "dashed" : ""}`} />{line.label}</th>
              {[shown, min, max, mean].map((value, index) => <td key={index}>{format(value)}</td>)}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** The chart in a sentence, for those who can't see it. */
function describe(title: string, unit: string, lines: readonly Line[], format: Props["format"]): string {
  const parts = lines.map((line) => `${line.label} ${format(line.values.findLast((value) => value !== null) ?? null)}`);
  return `${title}, ${unit}: ${parts.length > 0 ? parts.join(", ") : "no data"}`;
}
