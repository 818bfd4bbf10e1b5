import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiFailure, call, whenLoggedOut } from "../src/api/client";

const answers: (Response | Error)[] = [];
const sent: [string, RequestInit][] = [];

beforeEach(() => {
  answers.length = 0;
  sent.length = 0;
  vi.useFakeTimers({ shouldAdvanceTime: true });
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    sent.push([url, init]);
    const next = answers.shift();
    if (next instanceof Error || !next) throw next ?? new Error("no answer is left");
    return next;
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });

test("a request that only reads is sent again when the network changed, a change is not", async () => {
  answers.push(new TypeError("network changed"), json(200, { apps: [] }));
  expect(await call("GET", "/apps")).toEqual({ apps: [] });
  expect(sent).toHaveLength(2);
  answers.push(new TypeError("network changed"));
  await expect(call("POST", "/apps/shop/scale", {})).rejects.toMatchObject({ code: "unavailable", tried: "POST /api/v1/apps/shop/scale" });
  expect(sent).toHaveLength(3);
});

test("a body is JSON, and no content is nothing", async () => {
  answers.push(new Response(null, { status: 204 }));
  expect(await call("POST", "/hosts/a/drain", { draining: true })).toBeUndefined();
  expect(sent[0]?.[1]).toMatchObject({ body: `{"draining":true}`, credentials: "same-origin" });
});

test("whoever asks with an ended session is logged out; the question who is logged in is not such", async () => {
  let count = 0;
  whenLoggedOut(() => {
    count += 1;
  });
  const refused = () => json(401, { error: { code: "unauthenticated", message: "this session has ended" } });
  answers.push(refused(), refused());
  await expect(call("GET", "/session")).rejects.toBeInstanceOf(ApiFailure);
  expect(count).toBe(0);
  await expect(call("GET", "/apps")).rejects.toMatchObject({ message: "this session has ended" });
  expect(count).toBe(1);
});

test("a page that was left does not ask again", async () => {
  const controller = new AbortController();
  answers.push(new TypeError("aborted"));
  controller.abort();
  await expect(call("GET", "/apps", undefined, controller.signal)).rejects.toBeInstanceOf(TypeError);
  expect(sent).toHaveLength(1);
});
