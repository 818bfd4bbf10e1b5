// uPlot with our colours: one place that knows the library. Loaded with the first chart.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colour } from "../theme";
import type { Mark, Tone } from "../words/events";

export interface Line {
  label: string;
  /** Number of its colour, from 0. */
  hue: number;
  isDashed: boolean;
  values: (number | null)[];
}

export interface PlotOptions {
  width: number;
  height: number;
  /** Printed on the axis and in the legend. */
  unit: (value: number | null) => string;
  lines: Omit<Line, "values">[];
  range: () => [number, number];
  marks: () => readonly Mark[];
  onZoom: (from: number, to: number) => void;
  onReset: () => void;
  onCursor: (index: number | null) => void;
}

export const HUES = 6;
const SYNC = uPlot.sync("page");
const FONT = "12px system-ui, sans-serif";

export function makePlot(root: HTMLElement, options: PlotOptions, data: (number | null)[][]): uPlot {
  const text = colour("--text-soft");
  const grid = colour("--line");
  // Read once: asking the document for a colour forces a layout. A change of theme makes a new plot.
  const tones = Object.fromEntries(
    (["ok", "warn", "bad", "info"] as const).map((tone) => [tone, colour(`--${tone}`)]).concat([["calm", text]]),
  ) as Record<Tone, string>;
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 }, font: FONT };
  return new uPlot({
    width: options.width,
    height: options.height,
    legend: { show: false },
    cursor: {
      sync: { key: SYNC.key, setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      bind: { dblclick: () => () => { options.onReset(); return null; } },
    },
    scales: {
      x: { time: true, range: () => options.range() },
      // From zero, and never flat: a line at 0 lies on the axis.
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      { ...axis, space: 70, size: 28, values: (_plot, splits) => splits.map((at) => timeLabel(at, splits)) },
      { ...axis, size: 62, space: 32, values: (_plot, splits) => splits.map((value) => options.unit(value)) },
    ],
    series: [
      {},
      ...options.lines.map((line) => ({
        label: line.label,
        stroke: colour(`--series-${(line.hue % HUES) + 1}`),
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        ...(line.isDashed ? { dash: [5, 4] } : {}),
      })),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width > 4) options.onZoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [(plot) => options.onCursor(plot.cursor.idx ?? null)],
      drawAxes: [(plot) => drawMarks(plot, options.marks(), tones)],
    },
  }, data as uPlot.AlignedData, root);
}

/** `14:03`, with seconds where the labels are less than a minute apart. */
function timeLabel(at: number, splits: number[]): string {
  const isFine = splits.length > 1 && (splits[1] ?? 0) - (splits[0] ?? 0) < 60;
  return new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(isFine ? { second: "2-digit" } : {}) });
}

/** The changes of the strip, drawn through. */
function drawMarks(plot: uPlot, marks: readonly Mark[], tones: Record<Tone, string>): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.at / 1000, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = tones[mark.tone];
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
