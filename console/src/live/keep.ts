// Carries the traffic history over a reload of the page: written when the page is left, read when it comes back.
//
// It stays in this tab (sessionStorage) and holds figures only, no secrets. LIMIT: 2 MB; a longer text is not kept.
import { type History, SECONDS_MAX, type Sample, emptyHistory } from "./history";

const KEY = "wharf-history";
const TEXT_MAX = 2_000_000;
const VERSION = 1;

type Packed = [rate: number, errors: number, inFlight: number, p50: number | null, p99: number | null] | null;

interface Kept {
  version: number;
  times: number[];
  series: { app: string; release: number; isActive: boolean; samples: Packed[] }[];
}

export function pack(history: History): string {
  const rounded = (value: number | null) => (value === null ? null : Math.round(value * 1000) / 1000);
  const one = (sample: Sample | null): Packed =>
    sample && [rounded(sample.rate) ?? 0, rounded(sample.errors) ?? 0, sample.inFlight, rounded(sample.p50), rounded(sample.p99)];
  const kept: Kept = {
    version: VERSION,
    times: history.times,
    series: [...history.series.values()].map(({ app, release, isActive, samples }) => ({ app, release, isActive, samples: samples.map(one) })),
  };
  return JSON.stringify(kept);
}

/** What was kept, without what is older than an hour. Anything odd is an empty history. */
export function unpack(text: string | null, second: number): History {
  const history = emptyHistory();
  try {
    const kept = JSON.parse(text ?? "null") as Kept | null;
    if (kept?.version !== VERSION) return history;
    const first = kept.times.findIndex((time) => time > second - SECONDS_MAX);
    if (first < 0) return history;
    history.times = kept.times.slice(first);
    for (const { app, release, isActive, samples } of kept.series) {
      const own = samples.slice(first).map((packed): Sample | null => {
        if (packed === null) return null;
        const [rate, errors, inFlight, p50, p99] = packed;
        return { rate, errors, inFlight, p50, p99 };
      });
      if (own.length === history.times.length) history.series.set(`${app} ${release}`, { app, release, isActive, samples: own });
    }
    return history;
  } catch {
    return emptyHistory();
  }
}

export function restore(): History {
  try {
    return unpack(sessionStorage.getItem(KEY), Math.floor(Date.now() / 1000));
  } catch {
    return emptyHistory();
  }
}

export function keepOnLeave(history: History): void {
  addEventListener("pagehide", () => {
    const text = pack(history);
    try {
      if (text.length <= TEXT_MAX) sessionStorage.setItem(KEY, text);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Storage is off or full: the history begins anew.
    }
  });
}

/** Another user must not see it. */
export function forget(history: History): void {
  history.times = [];
  history.series.clear();
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is off: nothing was kept.
  }
}
