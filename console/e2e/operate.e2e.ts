// What operators do: a host joins, is drained and removed; tokens are made and removed; releases are compared; the audit log tells
// all of it. Needs the same server as the main journey, and openssl for the key of a host that joins and never runs.
import { execFileSync } from "node:child_process";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { axe, launch, logIn, openContext, shoot, visit } from "./browser";

let browser: Browser;
let page: Page;
let complaints: string[];
/** Names of this run, so that runs don't meet. */
const RUN = Date.now().toString(36);

beforeAll(async () => {
  browser = await launch();
  ({ page, complaints } = await openContext(browser));
  await logIn(page);
});

afterAll(async () => {
  await browser?.close();
});

interface Answer {
  status: number;
  body: unknown;
}

/** Asks the API with the session of a page. */
function api(of: Page, method: string, path: string, body?: unknown): Promise<Answer> {
  return of.evaluate(async ({ method, path, body }) => {
    const response = await fetch(`/api/v1${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }, { method, path, body });
}

async function get<T>(path: string): Promise<T> {
  return (await api(page, "GET", path)).body as T;
}

test("a host joins with the command of the page, is drained, taken back and removed", async () => {
  const name = `e2e-${RUN}`;
  await visit(page, "/hosts");
  await page.getByRole("button", { name: "Show the command to join a host" }).click();
  const command = await page.locator(".told .command code").first().textContent();
  const token = /--token (\S+)/.exec(command ?? "")?.[1];
  expect(token).toBeTruthy();
  await page.reload();
  await page.getByRole("button", { name: "Show the command to join a host" }).waitFor();
  expect(await page.content(), "a token is shown once").not.toContain(token);

  const csr = execFileSync("openssl", ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", `/CN=${name}`], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const joined = await api(page, "POST", "/join", { token, name, labels: { pool: "e2e" }, address: "192.0.2.1", csr });
  expect(joined.status, JSON.stringify(joined.body)).toBe(200);

  await visit(page, `/hosts/${name}`);
  await page.locator(".title .status.warn", { hasText: "never connected" }).waitFor();
  await page.getByText("pool=e2e").waitFor();
  await page.getByText("Nothing is known until its agent reports.").waitFor();
  expect(await axe(page)).toEqual([]);

  await page.getByRole("button", { name: `Drain ${name}`, exact: true }).click();
  await page.getByText(`wharf host drain ${name}`, { exact: true }).waitFor();
  expect(await axe(page), "a dialog over the page").toEqual([]);
  await page.getByRole("dialog").getByRole("button", { name: `Drain ${name}`, exact: true }).click();
  // The line in the feed comes by itself.
  await page.getByText(`drains host ${name}`).first().waitFor();
  await page.getByRole("button", { name: `Take back ${name}`, exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: `Take back ${name}`, exact: true }).click();
  await page.getByRole("button", { name: `Drain ${name}`, exact: true }).waitFor();

  await page.getByRole("button", { name: "Remove this host" }).click();
  await page.getByRole("dialog").getByText("Its certificate is refused from then on").waitFor();
  await shoot(page, "host-remove");
  await page.getByRole("button", { name: "Cancel" }).click();
  expect((await get<{ hosts: { name: string }[] }>("/hosts")).hosts.some((host) => host.name === name), "Cancel changes nothing").toBe(true);
  await page.getByRole("button", { name: "Remove this host" }).click();
  await page.getByRole("dialog").getByRole("button", { name: `Remove ${name}`, exact: true }).click();
  await page.waitForURL(/\/hosts($|\?)/);
  expect((await get<{ hosts: { name: string }[] }>("/hosts")).hosts.some((host) => host.name === name)).toBe(false);
});

test("a host that runs shows how much of it is in use", async () => {
  const { hosts } = await get<{ hosts: { name: string; liveness: string; resources: unknown }[] }>("/hosts");
  const host = hosts.find((one) => one.liveness === "up" && one.resources);
  expect(host, "a host whose agent reports").toBeDefined();
  await visit(page, `/hosts/${host?.name}`);
  await page.locator(".meter progress").first().waitFor();
  expect(await page.locator(".meter-name").allTextContents()).toEqual(["CPU", "Memory", "Disk"]);
  await page.getByText("the newest").waitFor();
});

test("a token is made, shown once, does what its role may, and ends when it is removed", async () => {
  const name = `viewer ${RUN}`;
  await visit(page, "/tokens");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("combobox", { name: "Role" }).selectOption("viewer");
  await page.getByRole("button", { name: "Make the token" }).click();
  await page.getByText("it is not shown again").waitFor();
  const secret = (await page.locator(".told .command code").first().textContent()) ?? "";
  expect(secret).toMatch(/^wharf_/);
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("button", { name: `Remove the token ${name}` }).waitFor();
  expect(await page.content()).not.toContain(secret);

  const other = await openContext(browser);
  await visit(other.page, "/");
  await other.page.getByLabel("Token", { exact: true }).fill(secret);
  await other.page.getByRole("button", { name: "Log in" }).click();
  await other.page.getByRole("navigation", { name: "Places" }).waitFor();
  const { apps } = await get<{ apps: { name: string }[] }>("/apps");
  const { hosts } = await get<{ hosts: { name: string }[] }>("/hosts");
  for (const path of [`/apps/${apps[0]?.name}`, "/hosts", `/hosts/${hosts[0]?.name}`, "/tokens"]) {
    await visit(other.page, path);
    await other.page.locator("main h1").first().waitFor();
    await expect.poll(() => other.page.locator(".skeleton").count()).toBe(0);
    const acts = await other.page.locator("main button").filter({ hasText: /^(Scale$|Restart$|Roll back|Drain|Take back|Remove|Show the command|New join|Make the)/ }).allTextContents();
    expect(acts, `${path} of a viewer`).toEqual([]);
  }
  await other.page.getByText("Tokens are for admins").waitFor();
  // What the page does not offer, the server refuses as well.
  expect((await api(other.page, "POST", `/hosts/${hosts[0]?.name}/drain`, { draining: true })).status).toBe(403);
  expect((await api(other.page, "GET", "/tokens")).status).toBe(403);

  await page.getByRole("button", { name: `Remove the token ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: `Remove ${name}`, exact: true }).click();
  await expect.poll(() => page.getByRole("button", { name: `Remove the token ${name}` }).count()).toBe(0);
  await visit(other.page, "/");
  await other.page.getByLabel("Token", { exact: true }).waitFor();
  await other.context.close();
});

test("the log of a service is live, filters by address, waits when it is paused, and a viewer may read it", async () => {
  const { apps } = await get<{ apps: { name: string; services: { name: string; replicas_healthy: number }[] }[] }>("/apps");
  const { instances } = await get<{ instances: { app: string; service: string }[] }>("/instances");
  const app = apps.find((one) => one.services.some((service) => service.replicas_healthy > 0));
  const service = app?.services.find((one) => one.replicas_healthy > 0 && instances.some((line) => line.app === app.name && line.service === one.name));
  await visit(page, `/apps/${app?.name}`);
  await page.getByRole("link", { name: `Log of ${service?.name}` }).click();
  await page.waitForURL(new RegExp(`/apps/${app?.name}/logs/${service?.name}`));
  await page.locator(".title .status.ok", { hasText: "live" }).waitFor();
  const lines = page.locator(".tail-lines li");
  await lines.first().waitFor();
  const first = (await page.locator(".tail-text").first().textContent()) ?? "";
  expect(first.length).toBeGreaterThan(0);
  await page.getByLabel("Only lines with", { exact: true }).fill("no line has these words");
  await page.getByText("is taken by these filters").waitFor();
  expect(new URL(page.url()).searchParams.get("text")).toBe("no line has these words");
  await page.getByRole("button", { name: "Remove all filters" }).click();
  await lines.first().waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator(".title .status", { hasText: "paused" }).waitFor();
  await page.getByRole("button", { name: /^Go on/ }).click();
  await page.locator(".title .status.ok", { hasText: "live" }).waitFor();

  const made = await api(page, "POST", "/tokens", { name: `reader ${RUN}`, role: "viewer" });
  const other = await openContext(browser);
  await visit(other.page, `/apps/${app?.name}/logs/${service?.name}`);
  await other.page.getByLabel("Token", { exact: true }).fill((made.body as { token: string }).token);
  await other.page.getByRole("button", { name: "Log in" }).click();
  await other.page.locator(".tail-lines li").first().waitFor();
  await other.context.close();
  await api(page, "DELETE", `/tokens/${(made.body as { id: string }).id}`);
});

test("a service is restarted from the page: as many containers, and none of those before", async () => {
  const containers = async (app: string, service: string) => {
    const { instances } = await get<{ instances: { app: string; service: string; container_id: string; state: { state: string } }[] }>("/instances");
    return instances.filter((line) => line.app === app && line.service === service && line.state.state === "healthy").map((line) => line.container_id);
  };
  const { apps } = await get<{ apps: { name: string; services: { name: string; routed: boolean; replicas_healthy: number }[] }[] }>("/apps");
  const app = apps.find((one) => one.services.some((service) => service.routed && service.replicas_healthy > 0));
  const service = app?.services.find((one) => one.routed)?.name ?? "";
  const before = await containers(app?.name ?? "", service);
  await visit(page, `/apps/${app?.name}`);
  await page.getByRole("button", { name: `Restart ${service}`, exact: true }).click();
  await page.getByText(`wharf restart ${service} --app ${app?.name}`, { exact: true }).waitFor();
  expect(await axe(page), "a dialog over the page").toEqual([]);
  await shoot(page, "restart");
  await page.getByRole("dialog").getByRole("button", { name: `Restart ${service}`, exact: true }).click();
  await page.waitForURL(/\/deploys\/\d+/);
  await page.locator("#verdict.ok", { hasText: "is restarted" }).waitFor({ timeout: 90_000 });
  await expect.poll(async () => (await containers(app?.name ?? "", service)).length).toBe(before.length);
  expect((await containers(app?.name ?? "", service)).filter((id) => before.includes(id))).toEqual([]);
});

test("a token that expires says when", async () => {
  const name = `guest ${RUN}`;
  await visit(page, "/tokens");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("combobox", { name: "Expires" }).selectOption({ label: "in 30 days" });
  await page.getByRole("button", { name: "Make the token" }).click();
  await page.getByRole("button", { name: "I have it" }).click();
  const row = page.getByRole("row").filter({ hasText: name });
  await row.getByText(/^in (30|29) d/).waitFor();
  const { tokens } = await get<{ tokens: { id: string; name: string; expires: number | null }[] }>("/tokens");
  const token = tokens.find((one) => one.name === name);
  expect(token?.expires ?? 0).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  await api(page, "DELETE", `/tokens/${token?.id}`);
});

test("a name that is taken is told before the server is asked", async () => {
  await visit(page, "/tokens");
  const { tokens } = await get<{ tokens: { name: string }[] }>("/tokens");
  await page.getByLabel("Name", { exact: true }).fill(tokens[0]?.name ?? "");
  await page.getByText(`There is a token named ${tokens[0]?.name} already.`).waitFor();
  expect(await page.getByRole("button", { name: "Make the token" }).isDisabled()).toBe(true);
});

test("two releases are compared as the server compares them, and no hidden value is on the page", async () => {
  const { apps } = await get<{ apps: { name: string }[] }>("/apps");
  const app = apps[0]?.name ?? "";
  const { releases } = await get<{ releases: { number: number }[] }>(`/apps/${app}/releases`);
  const [from, to] = [releases.at(-1)?.number, releases[0]?.number];
  const { changes } = await get<{ changes: { path: string; is_hidden: boolean; before: string | null }[] }>(`/apps/${app}/releases/${from}/diff/${to}`);
  await visit(page, `/apps/${app}/diff/${from}/${to}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  if (changes.length === 0) await page.getByText("Nothing differs").waitFor();
  else {
    await page.locator("#summary").waitFor();
    expect(await page.locator("tbody tr").count()).toBe(changes.length);
  }
  for (const change of changes.filter((one) => one.is_hidden)) expect(change.before, change.path).toBeNull();
  await page.getByText(`wharf releases diff ${app} ${from} ${to}`, { exact: true }).waitFor();
  // The sides are links' worth: another choice is another address.
  await page.getByRole("combobox", { name: "To release" }).selectOption(String(from));
  await page.waitForURL(new RegExp(`/diff/${from}/${from}`));
  await page.getByText("Nothing differs").waitFor();
});

test("the audit log filters by address, goes on by itself, and goes back to older pages", async () => {
  await visit(page, "/activity?kind=access");
  await page.locator(".audit li").first().waitFor();
  const name = `audit ${RUN}`;
  const made = await api(page, "POST", "/tokens", { name, role: "viewer" });
  await page.getByText(`made the token ${name}, role viewer`).waitFor();
  await api(page, "DELETE", `/tokens/${(made.body as { id: string }).id}`);
  await page.getByText(`removed the token ${name}`).waitFor();
  expect(new Set(await page.locator(".audit-topic").allTextContents())).toEqual(new Set(["Tokens and log-ins"]));
  await page.getByRole("combobox", { name: "Kind" }).selectOption("hosts");
  await page.waitForURL(/kind=hosts/);
  await expect.poll(() => page.locator(".audit-topic").first().textContent()).toBe("Hosts");
  await page.getByLabel("Who", { exact: true }).fill("nobody at all");
  await page.getByRole("button", { name: "Filter", exact: true }).click();
  await page.getByText("Nothing that these filters take has happened.").waitFor();
  await page.getByRole("button", { name: "Remove all filters" }).click();
  await page.locator(".audit li").first().waitFor();
  expect(new URL(page.url()).search).toBe("");
  // Back to the very beginning, page by page.
  const older = page.getByRole("button", { name: "Show older" });
  for (let pages = 0; pages < 20 && (await older.count()) > 0; pages += 1) {
    const before = await page.locator(".audit li").count();
    await older.click();
    await expect.poll(async () => (await page.locator(".audit li").count()) > before || (await older.count()) === 0).toBe(true);
  }
  expect(await page.locator(".audit li").count()).toBeGreaterThan(0);
});

test("the scope is in the address, holds from place to place, and search finds the new places", async () => {
  const { apps } = await get<{ apps: { name: string; services: { name: string }[] }[] }>("/apps");
  const app = apps[0];
  await visit(page, "/hosts");
  await page.getByRole("combobox", { name: "Application" }).selectOption(app?.name ?? "");
  await page.getByRole("combobox", { name: "Service" }).selectOption(app?.services[0]?.name ?? "");
  await page.getByRole("link", { name: "Traffic", exact: true }).click();
  await page.waitForURL(new RegExp(`/traffic\\?app=${app?.name}&service=${app?.services[0]?.name}`));
  await page.getByRole("combobox", { name: "Application" }).selectOption("");
  expect(new URL(page.url()).search).toBe("");
  for (const [text, option, address] of [["roles", /^Tokens and roles/, /\/tokens/], ["activity", /^Activity/, /\/activity/]] as const) {
    await page.keyboard.press("/");
    await page.keyboard.type(text);
    await page.getByRole("option", { name: option }).first().click();
    await page.waitForURL(address);
  }
});

test("nothing went wrong on the way", () => {
  // 403 is what the viewer's two forbidden requests are answered with.
  expect(complaints.filter((line) => !line.includes("403"))).toEqual([]);
});
