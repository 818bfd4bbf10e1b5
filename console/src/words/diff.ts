// What differs between two releases, in groups as people look for it. Pure.
import type { Change } from "../api/types";
import type { Tone } from "./events";

export interface Group {
  /** Service, or `null`: the application as a whole. */
  service: string | null;
  changes: Change[];
}

/** By service in the server's order, what concerns the whole application last. */
export function groups(changes: readonly Change[]): Group[] {
  const found = new Map<string | null, Change[]>();
  for (const change of changes) {
    const own = found.get(change.service);
    if (own) own.push(change);
    else found.set(change.service, [change]);
  }
  return [...found].map(([service, own]) => ({ service, changes: own })).sort((a, b) => Number(a.service === null) - Number(b.service === null));
}

/** The path without what its group says already: `deploy.replicas`. */
export function shortPath({ service, path }: Change): string {
  const before = `services.${service}`;
  if (service === null || !path.startsWith(before)) return path;
  return path.slice(before.length + 1) || "the whole service";
}

export function changeState({ kind }: Change): { tone: Tone; word: string } {
  switch (kind) {
    case "added": return { tone: "ok", word: "new" };
    case "removed": return { tone: "bad", word: "gone" };
    case "changed": return { tone: "info", word: "changed" };
  }
}

/** `3 changes: image, environment, ports`. */
export function summary(changes: readonly Change[]): string {
  if (changes.length === 0) return "Nothing differs: both lead to the same containers.";
  const parts = [...new Set(changes.map((change) => change.part))];
  return `${changes.length} ${changes.length === 1 ? "change" : "changes"}: ${parts.join(", ")}`;
}

/** Which two releases to compare, older first: with the one that serves, or for that one with the one made before it. */
export function compared(release: number, all: readonly number[], serves: number | null): [from: number, to: number] | null {
  const other = release !== serves && serves !== null ? serves : Math.max(...all.filter((number) => number < release));
  if (!Number.isFinite(other)) return null;
  return other < release ? [other, release] : [release, other];
}
