// Events in words, with the mark that stands for them on a time axis. Pure.
import type { Event, EventRecord } from "../api/types";
import { duration } from "../format";
import type { Scope } from "./scope";

export type Tone = "ok" | "warn" | "bad" | "info" | "calm";

export interface Told {
  tone: Tone;
  text: string;
  /** Where to read more. */
  href: string | null;
  /** Shown on the change strip and through charts. */
  isChange: boolean;
  app: string | null;
}

const deployPath = (id: number): string => `/deploys/${id}`;
const hostPath = (name: string): string => `/hosts/${encodeURIComponent(name)}`;

export function tell(event: Event): Told {
  const told = (tone: Tone, text: string, rest: Partial<Told> = {}): Told => ({
    tone, text, href: null, isChange: false, app: null, ...rest,
  });
  switch (event.kind) {
    case "server_started":
      return told("info", `Wharf ${event.version} started`, { isChange: true });
    case "join_token_made":
      return told("info", `${event.by} made a token with which ${event.host ?? (event.uses === 1 ? "a host" : `${event.uses} hosts`)} can join`);
    case "host_joined":
      return told("info", `Host ${event.host} joined`, { isChange: true, href: hostPath(event.host) });
    case "host_up":
      return told("ok", `Host ${event.host} is connected`, { isChange: true, href: hostPath(event.host) });
    case "host_lost":
      return told("bad", `Host ${event.host} was lost`, { isChange: true, href: hostPath(event.host) });
    case "host_drain": {
      const text = event.draining ? `${event.by} drains host ${event.host}` : `${event.by} takes host ${event.host} back`;
      return told("info", text, { isChange: true, href: hostPath(event.host) });
    }
    case "host_removed":
      return told("info", `${event.by} removed host ${event.host}`, { isChange: true });
    case "generation_made":
      return told("calm", `Generation ${event.generation}: ${event.reason}`);
    case "deploy_started":
      return told("info", `${event.by} started: ${what(event.what, event.app, event.release)}`, {
        isChange: true, href: deployPath(event.deploy), app: event.app,
      });
    case "deploy_step": {
      const time = event.ended ? ` (${duration(event.millis)})` : "";
      const detail = event.detail === "" ? "" : `: ${event.detail}`;
      return told("calm", `${event.app} release ${event.release}, ${event.step}${detail}${time}`, {
        href: deployPath(event.deploy), app: event.app,
      });
    }
    case "deploy_output":
      return told("calm", event.line, { href: deployPath(event.deploy) });
    case "switched": {
      const before = event.previous === null ? "" : `, before it went to release ${event.previous}`;
      return told("ok", `Traffic of ${event.app} goes to release ${event.release}${before}`, { isChange: true, app: event.app });
    }
    case "deploy_succeeded":
      return told("ok", `${event.app} release ${event.release} serves, after ${duration(event.millis)}`, {
        isChange: true, href: deployPath(event.deploy), app: event.app,
      });
    case "deploy_failed":
      return told("bad", `${event.app} release ${event.release} failed: ${event.reason}`, {
        isChange: true, href: deployPath(event.deploy), app: event.app,
      });
    case "deploy_aborted":
      return told("warn", `${event.by} ended the deploy of ${event.app} release ${event.release}`, {
        isChange: true, href: deployPath(event.deploy), app: event.app,
      });
    case "executed":
      return told("info", `${event.by} ran ${event.command} in ${event.instance} on ${event.host}`, { href: hostPath(event.host), app: event.app });
    case "run_started":
      return told("info", `${event.by} runs ${event.command} as ${event.run} on ${event.host}`, { href: hostPath(event.host), app: event.app });
    case "run_ended":
      return told("calm", `${event.run} on ${event.host} ${event.detail}`, { href: hostPath(event.host), app: event.app });
    case "instance_changed": {
      const detail = event.detail === "" ? "" : `: ${event.detail}`;
      const tone = event.state === "healthy" ? "ok" : /^(unhealthy|failed|exited)$/.test(event.state) ? "bad" : "calm";
      return told(tone, `${event.instance} on ${event.host} is ${event.state}${detail}`, {
        href: hostPath(event.host), isChange: tone === "bad", app: event.app ?? null,
      });
    }
    case "drifted":
      return told(event.outcome === "reported" ? "warn" : "info", `${event.instance} on ${event.host} was changed by hand: ${event.what} (${event.outcome})`, {
        href: hostPath(event.host), isChange: true, app: event.app,
      });
    case "orphan_removed":
      return told("info", `${event.by} removed the ${event.what} ${event.name} on ${event.host}, which no generation names`, {
        href: hostPath(event.host), isChange: true,
      });
    case "logged_in":
      return told("calm", `${event.who} logged in`);
    case "token_made":
      return told("info", `${event.by} made the token ${event.name}, role ${event.role}`);
    case "token_removed":
      return told("info", `${event.by} removed the token ${event.name}`);
    case "warning":
      return told("warn", `${event.part}: ${event.message}`, { isChange: true });
    default:
      // A newer server tells of something that this page does not know.
      return told("calm", (event as { kind: string }).kind.replaceAll("_", " "));
  }
}

/** What is so after a deploy that led to no other release. */
const DONE: Record<string, string> = { remove: "is removed", restart: "is restarted", scale: "is scaled", move: "has left the draining host" };

/** Tells a list, where what came before matters. A container that ends after it was told to stop did as it was told: that is nothing to worry about. */
export function tellAll(records: readonly EventRecord[]): { record: EventRecord; told: Told }[] {
  const stopping = new Set<string>();
  const begun = new Map<number, string>();
  return records.map((record) => {
    const { event } = record;
    const told = tell(event);
    if (event.kind === "deploy_started") begun.set(event.deploy, event.what);
    if (event.kind === "deploy_succeeded") {
      const done = DONE[begun.get(event.deploy) ?? ""];
      return { record, told: done ? { ...told, text: `${event.app} ${done}, after ${duration(event.millis)}` } : told };
    }
    if (event.kind !== "instance_changed") return { record, told };
    const key = `${event.host} ${event.instance}`;
    const wasStopping = stopping.delete(key);
    if (event.state === "stopping") stopping.add(key);
    return { record, told: event.state === "exited" && wasStopping ? { ...told, tone: "calm", isChange: false } : told };
  });
}

/** The host that an event names. */
export const hostOf = (event: Event): string | undefined => ("host" in event ? event.host ?? undefined : undefined);

/** Who did it; what happens by itself was done by nobody. */
export function whoOf(event: Event): string | undefined {
  if ("by" in event) return event.by;
  if ("who" in event) return event.who;
  return "author" in event ? event.author : undefined;
}

/** Whether an event concerns what the page is limited to: what happens to hosts concerns every application on them, and what is
 *  about no host concerns all hosts. Instances are named after application and service: `shop-web-r2-1`. */
export function concerns(event: Event, told: Told, scope: Scope): boolean {
  const { app, service, host } = scope;
  const of = hostOf(event);
  if (host !== undefined && of !== undefined && of !== host) return false;
  // Log-ins and tokens concern no application and no host.
  if ((app !== undefined || host !== undefined) && /^(logged_in|token_|join_token_)/.test(event.kind)) return false;
  if (app === undefined) return true;
  if (event.kind === "instance_changed" && event.app !== undefined && event.app !== app) return false;
  if (event.kind === "instance_changed") return event.instance.startsWith(service === undefined ? `${app}-` : `${app}-${service}-r`);
  return told.app === null || told.app === app;
}

/** What a deploy does, in words; a word that only a newer server knows stands for itself. */
export function what(word: string, app: string, release: number): string {
  switch (word) {
    case "deploy": return `deploy ${app} release ${release}`;
    case "rollback": return `roll back ${app} to release ${release}`;
    case "scale": return `scale ${app} release ${release}`;
    case "restart": return `restart ${app} release ${release}`;
    case "move": return `move ${app} off a draining host`;
    case "remove": return `remove ${app}`;
    default: return word.includes(app) ? word : `${word} ${app}`;
  }
}

export interface Mark {
  id: number;
  at: number;
  tone: Tone;
  text: string;
  href: string | null;
}

/** The marks of `[from, to]` (Unix milliseconds) in a scope. */
export function marks(records: readonly EventRecord[], from: number, to: number, scope: Scope): Mark[] {
  const found: Mark[] = [];
  for (const { record: { id, at, event }, told } of tellAll(records)) {
    if (at < from || at > to || !told.isChange || !concerns(event, told, scope)) continue;
    found.push({ id, at, tone: told.tone, text: told.text, href: told.href });
  }
  return found;
}

/** Marks nearer than this share of the strip are drawn as one. */
const NEAR = 0.02;

/** Marks with their place on the strip, from 0 to 1; those that would overlap together. */
export function group(all: readonly Mark[], from: number, to: number): { at: number; marks: Mark[] }[] {
  const groups: { at: number; marks: Mark[] }[] = [];
  for (const mark of all) {
    const at = (mark.at - from) / (to - from);
    const last = groups.at(-1);
    if (last && at - last.at < NEAR) last.marks.push(mark);
    else groups.push({ at, marks: [mark] });
  }
  return groups;
}
