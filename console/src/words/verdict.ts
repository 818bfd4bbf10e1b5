// A deploy judged in words, from its record and what its two releases do. Pure.
import type { DeployView } from "../api/types";
import { duration, percent, rate } from "../format";
import type { Sample } from "../live/history";
import { type Tone, what } from "./events";

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
    case "aborted": return { tone: "warn", word: "aborted" };
    default: return { tone: "info", word: "running" };
  }
}

/** The release that served when this deploy began, from the list of deploys; `null` when it is the same or not known. */
export function previousRelease(deploy: DeployView, all: readonly DeployView[]): number | null {
  const earlier = all.filter((other) => other.app === deploy.app && other.id < deploy.id && other.state === "succeeded");
  const last = earlier.sort((a, b) => b.id - a.id)[0];
  return last && last.release !== deploy.release ? last.release : null;
}

const subject = (deploy: DeployView): string => {
  const text = what(deploy.what, deploy.app, deploy.release);
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export function verdict(deploy: DeployView, next: Sample | null, previous: number | null): Verdict {
  const state = stateOf(deploy);
  if (deploy.state === "failed" || deploy.state === "aborted") {
    const rest = previous === null ? "What served before serves on." : `Release ${previous} serves on.`;
    const why = (deploy.error ?? (deploy.state === "failed" ? "it failed" : "it was ended")).replace(/\.$/, "");
    return { ...state, text: `${subject(deploy)} was not done: ${why}. ${rest}` };
  }
  if (deploy.state === "succeeded") {
    const took = deploy.ended === null ? "" : ` after ${duration(deploy.ended - deploy.started)}`;
    const now = next && next.rate > 0
      ? ` Now ${rate(next.rate)} requests/s, ${percent(next.errors, next.rate)} errors, p99 ${duration(next.p99)}.`
      : "";
    const done = deploy.what === "remove" ? `${deploy.app} is removed` : deploy.what === "restart" ? `${deploy.app} is restarted` : `Release ${deploy.release} serves`;
    return { ...state, text: `${done}${took}.${now}` };
  }
  const current = deploy.steps.findLast((step) => !step.ended);
  return { ...state, text: current ? `In progress: ${current.step}${current.detail ? `, ${current.detail}` : ""}.` : "In progress." };
}
