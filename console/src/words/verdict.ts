// A deploy judged in words, from its record and what its two releases do. Pure.
import type { DeployView } from "../api/types";
import { duration, percent, rate } from "../format";
import type { Sample } from "../live/history";
import type { Tone } from "./events";

export interface Verdict {
  tone: Tone;
  /** One word for a badge. */
  word: string;
  text: string;
}

export function stateOf(deploy: Pick<DeployView, "state">): { tone: Tone; word: string } {
  switch (deploy.state) {
    case "succeeded": return { tone: "ok", word: "succeeded" };
    case "failed": return { tone: "bad", word: "failed" };
    default: return { tone: "info", word: "running" };
  }
}

/** The release that served before, from the steps' own words or the list of deploys. */
export function previousRelease(deploy: DeployView, all: readonly DeployView[]): number | null {
  const earlier = all.filter((other) => other.app === deploy.app && other.id < deploy.id && other.state === "succeeded");
  const last = earlier.sort((a, b) => b.id - a.id)[0];
  return last && last.release !== deploy.release ? last.release : null;
}

export function verdict(deploy: DeployView, next: Sample | null, previous: number | null): Verdict {
  const state = stateOf(deploy);
  if (deploy.state === "failed") {
    const rest = previous === null ? "Nothing was switched." : `Release ${previous} serves on.`;
    return { ...state, text: `Release ${deploy.release} was not taken: ${deploy.error ?? "it failed"}. ${rest}` };
  }
  if (deploy.state === "succeeded") {
    const took = deploy.ended === null ? "" : ` after ${duration(deploy.ended - deploy.started)}`;
    const now = next && next.rate > 0
      ? ` Now ${rate(next.rate)} requests/s, ${percent(next.errors, next.rate)} errors, p99 ${duration(next.p99)}.`
      : "";
    return { ...state, text: `Release ${deploy.release} serves${took}.${now}` };
  }
  const current = deploy.steps.findLast((step) => !step.ended);
  return { ...state, text: current ? `In progress: ${current.step}${current.detail ? `, ${current.detail}` : ""}.` : "In progress." };
}
