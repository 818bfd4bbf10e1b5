// The audit log: filters of the URL, and the list of records that pages and a stream add to. Pure.
import type { Event, EventRecord } from "../api/types";
import type { Scope } from "./scope";

/** The server's words for what an event belongs to (`wharf_model::Topic`). */
export const TOPICS = ["deploys", "hosts", "containers", "access", "server"] as const;
export type Topic = (typeof TOPICS)[number];

export const TOPIC_WORDS: Record<Topic, string> = {
  deploys: "Deploys", hosts: "Hosts", containers: "Containers", access: "Tokens and log-ins", server: "Server",
};

export interface Filter extends Scope {
  kind: string | undefined;
  who: string | undefined;
}

/** As the API takes it. Build output is never part of it: the deploy's page has that. */
export function filterQuery(filter: Filter): string {
  const query = new URLSearchParams({ output: "false" });
  for (const name of ["kind", "app", "host", "who"] as const) {
    const value = filter[name];
    if (value) query.set(name, value);
  }
  return query.toString();
}

/** As `wharf events` takes it; `quote` makes a word of a shell. */
export function filterCommand(filter: Filter, quote: (word: string) => string): string {
  const options = (["kind", "app", "host", "who"] as const).filter((name) => filter[name]).map((name) => `--${name} ${quote(filter[name] ?? "")}`);
  return ["wharf events --follow", ...options].join(" ");
}

export const isFiltered = ({ kind, who, app, host }: Filter): boolean => [kind, who, app, host].some(Boolean);

/** LIMIT: records on one page; who wants more uses `wharf events --before`. */
export const SHOWN_MAX = 5_000;

/** Adds records to a list with the newest first. Those that come twice are one; the oldest go when there are too many. */
export function addRecords(known: readonly EventRecord[], more: readonly EventRecord[]): EventRecord[] {
  const byId = new Map([...known, ...more].map((record) => [record.id, record]));
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, SHOWN_MAX);
}

export function topicOf(event: Event): Topic {
  switch (event.kind) {
    case "logged_in": case "token_made": case "token_removed": return "access";
    case "instance_changed": case "drifted": case "orphan_removed": case "executed": case "run_started": case "run_ended": return "containers";
    case "deploy_started": case "deploy_step": case "deploy_output": case "deploy_succeeded": case "deploy_failed": case "deploy_aborted": case "switched": return "deploys";
    case "join_token_made": case "host_joined": case "host_up": case "host_lost": case "host_drain": case "host_removed": return "hosts";
    default: return "server";
  }
}

/** The days of a list, each with its records: `Tuesday, 24 November 2026`. */
export function byDay(records: readonly EventRecord[], day: (at: number) => string): { day: string; records: EventRecord[] }[] {
  const days: { day: string; records: EventRecord[] }[] = [];
  for (const record of records) {
    const name = day(record.at);
    const last = days.at(-1);
    if (last?.day === name) last.records.push(record);
    else days.push({ day: name, records: [record] });
  }
  return days;
}
