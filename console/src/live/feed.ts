// The list of events that the console keeps, newest last. Pure.
import type { EventRecord } from "../api/types";

/** Bound on what is kept; the server has the rest. */
export const EVENTS_MAX = 1_000;

/** Adds records that may overlap what is there; ids decide. Output of builds is not kept: the deploy's page reads it. */
export function addEvents(kept: readonly EventRecord[], more: readonly EventRecord[]): EventRecord[] {
  const last = kept.at(-1)?.id ?? 0;
  const fresh = more.filter((record) => record.id > last && record.event.kind !== "deploy_output");
  if (fresh.length === 0) return kept as EventRecord[];
  return [...kept, ...fresh].slice(-EVENTS_MAX);
}
