import { expect, test } from "vitest";
import { toFailure } from "../src/api/client";
import type { DeployView, HostView, InstanceLine } from "../src/api/types";
import { sortRows } from "../src/components/sort";
import { summary } from "../src/components/summary";
import { emptyHistory, addReport } from "../src/live/history";
import { match } from "../src/pattern";
import { group, marks, tell, tellAll, what } from "../src/words/events";
import { type Facts, problems } from "../src/words/problems";
import { EVERYTHING } from "../src/words/scope";
import { search } from "../src/words/search";
import { previousRelease, verdict } from "../src/words/verdict";

const NOW = 1_000_000;

function deploy(id: number, release: number, state: DeployView["state"], more: Partial<DeployView> = {}): DeployView {
  return { id, app: "shop", release, what: "deploy", by: "admin", state, steps: [], error: null, log_tail: [], started: NOW, ended: NOW + 9_000, ...more };
}

function host(name: string, more: Partial<HostView> = {}): HostView {
  return {
    name, labels: {}, liveness: "up", draining: false, last_seen: NOW, address: null, engine_version: null, agent_version: null,
    cpus: null, memory_bytes: null, generation: 1, instances_desired: 0, instances_healthy: 0, ...more,
  };
}

const facts = (more: Partial<Facts> = {}): Facts => ({ hosts: [], instances: [], deploys: [], history: emptyHistory(), events: [], now: NOW, ...more });

test("events read as sentences and lead to their place", () => {
  expect(tell({ kind: "host_lost", host: "lab6" })).toMatchObject({ tone: "bad", text: "Host lab6 was lost", href: "/hosts/lab6", isChange: true });
  expect(tell({ kind: "deploy_started", deploy: 7, app: "shop", release: 2, what: "deploy", by: "ci" })).toMatchObject({ text: "ci started: deploy shop release 2", href: "/deploys/7" });
  expect(tell({ kind: "switched", app: "shop", release: 2, previous: 1 }).text).toBe("Traffic of shop goes to release 2, before it went to release 1");
  expect(tell({ kind: "of_tomorrow" } as never)).toMatchObject({ tone: "calm", text: "of tomorrow", isChange: false });
  expect(["deploy", "rollback", "scale", "move", "remove", "bless"].map((word) => what(word, "shop", 2))).toEqual([
    "deploy shop release 2", "roll back shop to release 2", "scale shop release 2", "move shop off a draining host", "remove shop", "bless shop",
  ]);
});

test("marks are the changes of the range and scope, and near ones are one", () => {
  const records = [
    { id: 1, at: 10, event: { kind: "host_up", host: "a" } as const },
    { id: 2, at: 20, event: { kind: "switched", app: "shop", release: 2, previous: 1 } as const },
    { id: 3, at: 45, event: { kind: "switched", app: "blog", release: 2, previous: 1 } as const },
    { id: 4, at: 46, event: { kind: "logged_in", who: "x" } as const },
    { id: 5, at: 900, event: { kind: "host_lost", host: "a" } as const },
    { id: 6, at: 2_000, event: { kind: "host_lost", host: "a" } as const },
  ];
  expect(marks(records, 0, 1_000, EVERYTHING).map(({ id }) => id)).toEqual([1, 2, 3, 5]);
  expect(marks(records, 0, 1_000, { ...EVERYTHING, app: "shop" }).map(({ id }) => id)).toEqual([1, 2, 5]);
  expect(group(marks(records, 0, 1_000, EVERYTHING), 0, 1_000).map(({ at, marks: all }) => [at, all.length])).toEqual([[0.01, 2], [0.045, 1], [0.9, 1]]);
});

test("a container that was told to stop and ends is no alarm, one that ends by itself is", () => {
  const changed = (id: number, state: string, instance = "shop-web-r1-1") => ({ id, at: id, event: { kind: "instance_changed", host: "a", instance, state, detail: "" } as const });
  const records = [changed(1, "stopping"), changed(2, "exited"), changed(3, "exited"), changed(4, "exited", "blog-site-r1-1")];
  expect(tellAll(records).map(({ told }) => told.tone)).toEqual(["calm", "calm", "bad", "bad"]);
  expect(marks(records, 0, 10, EVERYTHING).map(({ id }) => id)).toEqual([3, 4]);
  expect(marks(records, 0, 10, { ...EVERYTHING, app: "blog" }).map(({ id }) => id)).toEqual([4]);
});

test("the end of a deploy says what was done", () => {
  const end = (what: string) => tellAll([
    { id: 1, at: 1, event: { kind: "deploy_started", deploy: 7, app: "shop", release: 2, what, by: "ci" } },
    { id: 2, at: 2, event: { kind: "deploy_succeeded", deploy: 7, app: "shop", release: 2, millis: 600 } },
  ])[1]?.told.text;
  expect(["deploy", "remove", "scale"].map(end)).toEqual(["shop release 2 serves, after 600 ms", "shop is removed, after 600 ms", "shop is scaled, after 600 ms"]);
});

test("all is well says nothing", () => {
  expect(problems(facts({ hosts: [host("a")], deploys: [deploy(1, 1, "succeeded")] }))).toEqual([]);
});

test("what is wrong is told worst first", () => {
  const history = emptyHistory();
  const line = { app: "shop", service: "web", release: 2, requests: 0, errors: 0, client_aborts: 0, in_flight: 0, bytes_out: 0, rate: 100, error_rate: 5, p50_ms: 1, p99_ms: 2, is_active: true };
  addReport(history, { balancers: [{ name: "local", table_version: 1, generation: 1, traffic: [line] }] }, 1_000);
  const instance: InstanceLine = {
    host: "a", id: "shop-web-r2-1", app: "shop", service: "web", release: 2, slot: 1, state: { state: "exited", code: 3 }, address: null,
    container_id: null, since: NOW, restarts: 4, log_tail: ["starting", "no database"],
  };
  const found = problems(facts({
    hosts: [host("b", { draining: true, instances_desired: 1 }), host("c", { liveness: "lost", last_seen: NOW - 60_000, instances_desired: 2 })],
    instances: [instance], deploys: [deploy(2, 3, "failed", { error: "not healthy", ended: NOW - 60_000 }), deploy(1, 2, "succeeded")], history,
    events: [{ id: 1, at: NOW - 1_000, event: { kind: "warning", part: "registry", message: "the disk is full" } }, { id: 2, at: NOW - 3_600_000, event: { kind: "warning", part: "old", message: "x" } }],
  }));
  expect(found.map(({ tone, text, detail }) => `${tone}: ${text} (${detail})`)).toEqual([
    "bad: Host c is lost (last seen 1 min ago, 2 instances should run there)",
    "bad: 5 % of the requests to shop release 2 fail (over the last 10 s; status 500 or more)",
    "bad: shop-web-r2-1 on a is exited (exit status 3 · no database)",
    "warn: The last deploy of shop failed 1 min ago (not healthy)",
    "warn: registry: the disk is full (just now)",
    "info: Host b is being drained (1 instance still there)",
  ]);
});

test("a later success settles an earlier failure", () => {
  expect(problems(facts({ deploys: [deploy(1, 2, "failed"), deploy(2, 3, "succeeded")] }))).toEqual([]);
});

test("a deploy is judged in words", () => {
  const all = [deploy(1, 1, "succeeded"), deploy(2, 2, "failed"), deploy(3, 3, "succeeded")];
  expect(previousRelease(deploy(3, 3, "succeeded"), all)).toBe(1);
  expect(previousRelease(deploy(1, 1, "succeeded"), all)).toBeNull();
  expect(verdict(deploy(3, 3, "succeeded"), { rate: 2_000, errors: 0, inFlight: 1, p50: 1, p99: 3.1 }, 1).text)
    .toBe("Release 3 serves after 9.0 s. Now 2,000 requests/s, 0 % errors, p99 3.1 ms.");
  expect(verdict(deploy(2, 2, "failed", { error: "never healthy" }), null, 1)).toMatchObject({ tone: "bad", text: "Deploy shop release 2 was not done: never healthy. Release 1 serves on." });
  const running = deploy(4, 4, "running", { ended: null, steps: [{ step: "build", detail: "web", ended: false, millis: 0 }] });
  expect(verdict(running, null, 3).text).toBe("In progress: build, web.");
});

test("paths match places", () => {
  for (const [pattern, path, expected] of [
    ["/", "/", {}], ["/apps", "/apps/", {}], ["/apps/:app", "/apps/my%20shop", { app: "my shop" }], ["/apps/:app", "/apps/", null], ["/apps", "/hosts", null], ["/deploys/:id", "/deploys/%E0%A4%A", null],
  ] as const) expect(match(pattern, path), path).toEqual(expected);
});

test("rows are sorted as people count, those without a value last", () => {
  const rows = ["r10", null, "r9", "r1"].map((name) => ({ name }));
  expect(sortRows(rows, (row) => row.name, false).map(({ name }) => name)).toEqual(["r1", "r9", "r10", null]);
  expect(sortRows(rows, (row) => row.name, true).map(({ name }) => name)).toEqual(["r10", "r9", "r1", null]);
  expect(sortRows(rows, undefined, false)).toBe(rows);
});

test("a search takes every word and prefers beginnings", () => {
  const all = [{ kind: "deploy", text: "7 shop release 2" }, { kind: "application", text: "shop" }, { kind: "host", text: "lab1" }];
  expect(search(all, "shop").map(({ kind }) => kind)).toEqual(["application", "deploy"]);
  expect(search(all, "release shop").map(({ kind }) => kind)).toEqual(["deploy"]);
  expect(search(all, "")).toHaveLength(3);
});

test("legends and failures", () => {
  expect(summary([3, 1, 2])).toEqual({ min: 1, max: 3, mean: 2 });
  expect(summary([])).toEqual({ min: null, max: null, mean: null });
  const ours = toFailure(404, `{"error":{"code":"not_found","message":"no app","hint":"see wharf apps"}}`, "GET /x");
  expect(ours).toMatchObject({ code: "not_found", message: "no app", hint: "see wharf apps", tried: "GET /x" });
  expect(toFailure(502, "<html>", "GET /x")).toMatchObject({ code: "internal", message: "the answer was HTTP 502" });
});
