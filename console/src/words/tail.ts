// The tail of a service's log: lines of all its containers as they come, with what could not be heard. Pure.
import type { LogLine, LogNote } from "../api/types";

/** One row of the page. `id` grows, and stays the same for the same row. */
export type Entry = { id: number; at: number | null } & ({ line: LogLine } | { note: LogNote });

export interface Tail {
  entries: readonly Entry[];
  /** The newest time that each container has told, in nanoseconds: after a lost connection the past comes again. */
  last: ReadonlyMap<string, bigint>;
  /** Lines that went because there were too many. */
  gone: number;
  next: number;
}

export const NOTHING: Tail = { entries: [], last: new Map(), gone: 0, next: 1 };

/** LIMIT: rows on the page; older ones go. `wharf logs tail` has them all. */
export const ROWS_MAX = 2_000;

/** Adds what came. A line that its container has told already is left out. */
export function addTold(tail: Tail, told: readonly ({ line: LogLine } | { note: LogNote })[], now: number): Tail {
  const last = new Map(tail.last);
  const entries = [...tail.entries];
  let { next } = tail;
  for (const one of told) {
    if ("note" in one) {
      entries.push({ id: next++, at: now, note: one.note });
      continue;
    }
    const at = BigInt(one.line.at);
    const key = `${one.line.host} ${one.line.instance}`;
    // 0: the Engine did not say when; such a line can't be told from one before.
    if (at !== 0n) {
      if (at <= (last.get(key) ?? 0n)) continue;
      last.set(key, at);
    }
    entries.push({ id: next++, at: at === 0n ? null : Number(at / 1_000_000n), line: one.line });
  }
  const over = Math.max(0, entries.length - ROWS_MAX);
  return { entries: over === 0 ? entries : entries.slice(over), last, gone: tail.gone + over, next };
}

export interface TailFilter {
  /** Letters that a line must have, whatever their case. */
  text: string;
  /** Only this output. */
  stream: "stdout" | "stderr" | undefined;
  host: string | undefined;
}

/** What the filter leaves. Notes stay: they say what is missing. */
export function filterTail(entries: readonly Entry[], { text, stream, host }: TailFilter): readonly Entry[] {
  const wanted = text.toLowerCase();
  return entries.filter((entry) => {
    if ("note" in entry) return host === undefined || entry.note.host === host;
    const { line } = entry;
    return (stream === undefined || line.stream === stream) && (host === undefined || line.host === host) && line.text.toLowerCase().includes(wanted);
  });
}
