// The steps of a deploy as they come. Pure.
import type { DeployStep } from "../api/types";

/** LIMIT: lines of build output that a page shows; the oldest go first. */
export const OUTPUT_MAX = 5_000;

/** A step that goes on or ends replaces its last open mention; a new one is added. What comes twice changes nothing. */
export function addStep(steps: readonly DeployStep[], next: DeployStep): DeployStep[] {
  const at = steps.findLastIndex((step) => step.step === next.step);
  const found = at < 0 ? undefined : steps[at];
  const isSame = found !== undefined && (!found.ended || (next.ended && found.detail === next.detail && found.millis === next.millis));
  if (!isSame) return [...steps, next];
  return steps.map((step, index) => (index === at ? next : step));
}

/** Reads the data of an `output` event: a line, several, or a record with them. */
export function outputLines(data: unknown): string[] {
  if (typeof data === "string") return data.split("\n");
  if (Array.isArray(data)) return data.map(String);
  if (data !== null && typeof data === "object") {
    const { line, lines } = data as { line?: unknown; lines?: unknown };
    if (Array.isArray(lines)) return lines.map(String);
    if (typeof line === "string") return [line];
  }
  return [];
}

export function addOutput(lines: readonly string[], more: readonly string[]): string[] {
  return [...lines, ...more].slice(-OUTPUT_MAX);
}
