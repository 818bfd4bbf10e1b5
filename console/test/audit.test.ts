import { expect, test } from "vitest";
import type { Event, EventRecord } from "../src/api/types";
import { curl, shellWord } from "../src/format";
import { type Filter, SHOWN_MAX, addRecords, byDay, filterCommand, filterQuery, isFiltered, topicOf } from "../src/words/audit";
import { concerns, tell, whoOf } from "../src/words/events";
import { nameProblem } from "../src/words/roles";
import { EVERYTHING, isInScope, scopeText } from "../src/words/scope";

const record = (id: number, event: Event = { kind: "logged_in", who: "ann" }): EventRecord => ({ id, at: id * 1_000, event });
const filter = (more: Partial<Filter> = {}): Filter => ({ ...EVERYTHING, kind: undefined, who: undefined, ...more });

test("filters are told to the server and to the command line", () => {
  expect(filterQuery(filter())).toBe("output=false");
  const some = filter({ kind: "deploys", app: "shop", who: "ann b" });
  expect(filterQuery(some)).toBe("output=false&kind=deploys&app=shop&who=ann+b");
  expect(filterCommand(some, shellWord)).toBe("wharf events --follow --kind deploys --app shop --who 'ann b'");
  expect([isFiltered(filter()), isFiltered(some)]).toEqual([false, true]);
});

test("records come from pages and the stream in any order, once, newest first", () => {
  const ids = (records: readonly EventRecord[]) => records.map(({ id }) => id);
  const first = addRecords([], [record(5), record(6)]);
  expect(ids(addRecords(addRecords(first, [record(7), record(6)]), [record(3), record(4)]))).toEqual([7, 6, 5, 4, 3]);
  const many = addRecords(first, Array.from({ length: SHOWN_MAX }, (_, index) => record(index + 10)));
  expect([many.length, many[0]?.id]).toEqual([SHOWN_MAX, SHOWN_MAX + 9]);
});

test("records are told by day", () => {
  const days = byDay([record(9), record(8), record(2)], (at) => (at > 5_000 ? "today" : "yesterday"));
  expect(days.map(({ day, records }) => `${day} ${records.length}`)).toEqual(["today 2", "yesterday 1"]);
});

test("each event has a topic, and those that people cause have a who", () => {
  const drain: Event = { kind: "host_drain", host: "web1", draining: true, by: "ann" };
  expect([topicOf(drain), whoOf(drain)]).toEqual(["hosts", "ann"]);
  expect([topicOf({ kind: "of_tomorrow" } as never), whoOf({ kind: "host_lost", host: "web1" })]).toEqual(["server", undefined]);
  expect(topicOf({ kind: "orphan_removed", host: "web1", what: "network", name: "x", by: "ann" })).toBe("containers");
  expect(tell({ kind: "drifted", host: "web1", app: "shop", instance: "shop-web-r1-1", what: "paused", outcome: "repaired" }))
    .toMatchObject({ tone: "info", text: "shop-web-r1-1 on web1 was changed by hand: paused (repaired)", app: "shop", isChange: true });
  expect(whoOf({ kind: "generation_made", generation: 1, author: "wharf", reason: "" })).toBe("wharf");
});

test("a scope takes what is in it, and what says nothing about it", () => {
  const changed: Event = { kind: "instance_changed", host: "web1", instance: "shop-web-r2-1", state: "healthy", detail: "" };
  const takes = (event: Event, scope: Partial<typeof EVERYTHING>) => concerns(event, tell(event), { ...EVERYTHING, ...scope });
  expect([takes(changed, { app: "shop" }), takes(changed, { app: "shop", service: "web" }), takes(changed, { app: "shop", service: "db" }), takes(changed, { host: "web2" })]).toEqual([true, true, false, false]);
  expect([takes({ kind: "server_started", version: "1" }, { host: "web1" }), takes({ kind: "host_lost", host: "web2" }, { app: "shop" })]).toEqual([true, true]);
  const scope = { app: "shop", service: "web", host: "web1" };
  expect([isInScope(scope, { app: "shop", service: "web", host: "web1" }), isInScope(scope, { app: "shop" }), isInScope(scope, { host: "web2" }), isInScope(EVERYTHING, { app: "x" })]).toEqual([true, true, false, true]);
  expect([scopeText(scope), scopeText(EVERYTHING), scopeText({ ...EVERYTHING, host: "web1" })]).toEqual(["shop web on web1", "", "on web1"]);
});

test("a request is shown as curl that a shell takes", () => {
  expect(curl("http://a:1", "GET", "/hosts")).toBe(`curl -H "Authorization: Bearer $WHARF_TOKEN" http://a:1/api/v1/hosts`);
  expect(curl("http://a:1", "POST", "/tokens", { name: "o'neil" }))
    .toBe(`curl -X POST -H "Authorization: Bearer $WHARF_TOKEN" -H 'content-type: application/json' -d '{"name":"o'\\''neil"}' http://a:1/api/v1/tokens`);
  expect(curl("http://a:1", "DELETE", "/hosts/a?force=true")).toContain("'http://a:1/api/v1/hosts/a?force=true'");
});

test("a name that the server would refuse is told before", () => {
  expect([nameProblem("", []), nameProblem("ci", ["x"])]).toEqual(["", ""]);
  expect([nameProblem(" ci", []), nameProblem("x".repeat(64), []), nameProblem("ci", ["ci"])].every((text) => text !== "")).toBe(true);
});
