// What is wrong now, in words. Pure: from what the server says to a list, worst first.
import type { DeployView, EventRecord, HostView, InstanceLine } from "../api/types";
import { bytes, count, percent, relative } from "../format";
import { type History, recent } from "../live/history";
import type { Tone } from "./events";

export interface Problem {
  tone: Tone;
  text: string;
  /** What to do or what it means; may be empty. */
  detail: string;
  href: string | null;
}

export interface Facts {
  hosts: readonly HostView[];
  instances: readonly InstanceLine[];
  deploys: readonly DeployView[];
  history: History;
  events: readonly EventRecord[];
  now: number;
}

/** More than this share of failed requests over ten seconds is worth a line. */
const ERROR_SHARE_MAX = 0.01;
/** Less free than this share of the Engine's disk is worth a line. */
const DISK_FREE_SHARE_MIN = 0.05;
/** A warning is told for so long; it does not say when it is over. */
const WARNING_MINUTES = 5;

export function problems(facts: Facts): Problem[] {
  const found: Problem[] = [...hostProblems(facts), ...trafficProblems(facts), ...deployProblems(facts), ...instanceProblems(facts), ...warnings(facts)];
  const order: Record<Tone, number> = { bad: 0, warn: 1, info: 2, ok: 3, calm: 4 };
  return found.sort((a, b) => order[a.tone] - order[b.tone]);
}

function hostProblems({ hosts, now }: Facts): Problem[] {
  return hosts.flatMap((host): Problem[] => {
    const href = `/hosts/${encodeURIComponent(host.name)}`;
    if (host.liveness === "lost") {
      const runs = host.instances_desired > 0 ? `, ${count(host.instances_desired, "instance")} should run there` : "";
      return [{ tone: "bad", text: `Host ${host.name} is lost`, detail: `last seen ${relative(host.last_seen, now)}${runs}`, href }];
    }
    if (host.liveness === "never") {
      return [{ tone: "warn", text: `Host ${host.name} has joined but never connected`, detail: "is `wharf agent` running there?", href }];
    }
    if (host.problem) return [{ tone: "bad", text: `Host ${host.name} has a problem`, detail: host.problem, href }];
    const disk = host.resources;
    if (disk?.disk_bytes && disk.disk_free_bytes !== null && disk.disk_free_bytes < disk.disk_bytes * DISK_FREE_SHARE_MIN) {
      return [{ tone: "warn", text: `The disk of host ${host.name} is nearly full`, detail: `${bytes(disk.disk_free_bytes)} free of ${bytes(disk.disk_bytes)}`, href }];
    }
    if (host.draining) {
      const left = host.instances_desired > 0 ? `${count(host.instances_desired, "instance")} still there` : "empty";
      return [{ tone: "info", text: `Host ${host.name} is being drained`, detail: left, href }];
    }
    return [];
  });
}

function trafficProblems({ history }: Facts): Problem[] {
  return [...history.series.values()].flatMap((series): Problem[] => {
    const sample = recent(series);
    if (!sample || sample.rate < 0.5 || sample.errors / sample.rate <= ERROR_SHARE_MAX) return [];
    return [{
      tone: "bad",
      text: `${percent(sample.errors, sample.rate)} of the requests to ${series.app} release ${series.release} fail`,
      detail: "over the last 10 s; status 500 or more",
      href: `/apps/${encodeURIComponent(series.app)}`,
    }];
  });
}

/** Only the newest deploy of an application counts: a later success settles an earlier failure. */
function deployProblems({ deploys, now }: Facts): Problem[] {
  const newest = new Map<string, DeployView>();
  for (const deploy of deploys) {
    const before = newest.get(deploy.app);
    if (!before || deploy.id > before.id) newest.set(deploy.app, deploy);
  }
  return [...newest.values()].filter((deploy) => deploy.state === "failed" || deploy.state === "aborted").map((deploy) => ({
    tone: "warn",
    text: `The last deploy of ${deploy.app} ${deploy.state === "failed" ? "failed" : "was aborted"} ${relative(deploy.ended ?? deploy.started, now)}`,
    detail: deploy.error ?? "what served before serves on",
    href: `/deploys/${deploy.id}`,
  }));
}

function instanceProblems({ instances }: Facts): Problem[] {
  return instances.flatMap((line): Problem[] => {
    const { state, reason, code } = line.state;
    if (line.host_liveness === "lost" || !["unhealthy", "failed", "exited"].includes(state)) return [];
    const last = line.log_tail.at(-1);
    const detail = reason ?? (code === undefined ? "" : `exit status ${code}`);
    return [{
      tone: state === "unhealthy" ? "warn" : "bad",
      text: `${line.id} on ${line.host} is ${state}`,
      detail: [detail, last].filter(Boolean).join(" · "),
      href: `/apps/${encodeURIComponent(line.app)}`,
    }];
  });
}

function warnings({ events, now }: Facts): Problem[] {
  const found = new Map<string, Problem>();
  for (const { at, event } of events) {
    if (event.kind !== "warning" || now - at > WARNING_MINUTES * 60_000) continue;
    const text = `${event.part}: ${event.message}`;
    found.set(text, { tone: "warn", text, detail: relative(at, now), href: null });
  }
  return [...found.values()];
}
