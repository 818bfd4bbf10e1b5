// A host in words: state with its reason, how far behind it is, how full. Pure.
import type { HostView } from "../api/types";
import { bytes, count, duration, percent, relative, short } from "../format";
import type { Tone } from "./events";

export interface HostState {
  tone: Tone;
  word: string;
  /** Why, or what it means. */
  reason: string;
}

export function hostState(host: HostView, now: number): HostState {
  const wanted = host.instances_desired;
  if (host.liveness === "lost") {
    const seen = `its agent was last heard ${relative(host.last_seen, now)}`;
    return { tone: "bad", word: "lost", reason: wanted > 0 ? `${seen}; ${count(wanted, "container")} should run there` : seen };
  }
  if (host.liveness === "never") return { tone: "warn", word: "never connected", reason: "it has joined, but its agent has not been heard: is `wharf agent` running there?" };
  if (host.problem) return { tone: "bad", word: host.draining ? "draining" : "up", reason: host.problem };
  if (host.draining) {
    return { tone: "info", word: "draining", reason: wanted > 0 ? `it gets no new containers; ${count(wanted, "container")} still there` : "it gets no new containers and is empty" };
  }
  return { tone: "ok", word: "up", reason: "" };
}

/** `14, the newest`, `12, 2 behind`. */
export function generationText(host: HostView, newest: number | undefined): string {
  if (newest === undefined) return String(host.generation);
  const behind = newest - host.generation;
  if (behind <= 0) return `${host.generation}, the newest`;
  const works = host.generation_seen !== undefined && host.generation_seen > host.generation ? `, works on ${host.generation_seen}` : "";
  return `${host.generation}, ${behind} behind the newest${works}`;
}

export interface Meter {
  name: string;
  /** 0 to 1; `null` when there is nothing to measure against. */
  share: number | null;
  text: string;
  detail: string;
  tone: Tone;
}

/** From this share on a resource is worth a look, and worth acting. */
const WARN_SHARE = 0.85;
const BAD_SHARE = 0.95;

/** Of what does not come back by itself when it is used up; a CPU that is busy for a while does its work. */
const toneOf = (share: number): Tone => (share >= BAD_SHARE ? "bad" : share >= WARN_SHARE ? "warn" : "ok");

/** What is in use, as far as the agent tells. */
export function meters(host: HostView): Meter[] {
  const found: Meter[] = [];
  const { resources, cpus, memory_bytes: memory } = host;
  if (!resources) return found;
  const { load, cpu_busy: busy } = resources;
  if (busy !== null || load !== null) {
    const detail = load === null ? "" : `load ${load.map((one) => one.toFixed(2)).join(" ")} in 1, 5, 15 min`;
    const share = busy ?? (load !== null && cpus ? Math.min(1, load[0] / cpus) : null);
    const text = busy === null ? (load === null ? "" : `load ${short(load[0])}`) : `${percent(busy, 1)} of ${cpus === null ? "the CPUs" : count(cpus, "CPU")}`;
    found.push({ name: "CPU", share, text, detail, tone: share === null ? "calm" : share >= BAD_SHARE ? "warn" : "ok" });
  }
  if (memory !== null && resources.memory_available_bytes !== null) {
    found.push(used("Memory", memory, resources.memory_available_bytes, "free for programs"));
  }
  if (resources.disk_bytes !== null && resources.disk_free_bytes !== null) {
    found.push(used("Disk", resources.disk_bytes, resources.disk_free_bytes, resources.disk_path === null ? "free" : `free for ${resources.disk_path}`));
  }
  return found;
}

function used(name: string, all: number, free: number, of: string): Meter {
  const share = all === 0 ? 0 : Math.max(0, (all - free) / all);
  return { name, share, text: `${bytes(all - free)} of ${bytes(all)}`, detail: `${bytes(free)} ${of}`, tone: toneOf(share) };
}

/** What happens when the host is drained, given all hosts. */
export function drainText(host: HostView, all: readonly HostView[]): string {
  const wanted = host.instances_desired;
  if (wanted === 0) return "It gets no new containers, and none runs there now.";
  const there = wanted === 1 ? "the one container there now" : `the ${wanted} containers there now`;
  const canTake = all.some((other) => other.name !== host.name && other.liveness === "up" && !other.draining);
  if (canTake) return `It gets no new containers, and ${there} ${wanted === 1 ? "moves" : "move"} to other hosts, where they may run.`;
  return `It gets no new containers. No other host is up that could take ${there}: ${wanted === 1 ? "it stays" : "they stay"} until one is.`;
}

/** What happens when the host is removed, one sentence each. */
export function removalText(host: HostView): string[] {
  const lines = ["Its certificate is refused from then on: to come back it has to join again."];
  if (host.instances_desired > 0) {
    const what = host.instances_desired === 1 ? "The container that is to run there leaves" : `The ${host.instances_desired} containers that are to run there leave`;
    lines.push(`${what} the desired state. They are not moved: drain the host first if they should be.`);
  }
  lines.push(host.liveness === "up" ? "What runs on the machine keeps running there, without requests, until somebody stops it." : "Whatever still runs on the machine gets no requests any more.");
  return lines;
}

/** `for 3 h 10 min`. */
export function forHowLong(host: HostView, now: number): string {
  if (host.since === undefined || host.since === null) return "";
  return `for ${duration(Math.max(1_000, now - host.since))}`;
}
