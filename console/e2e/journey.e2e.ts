// The main journey: log in, look at every place in both themes, scale an application and watch the deploy, log out.
//
// It needs a server with at least one application that has a healthy container (WHARF_APP names it; else the first one).
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { axe, launch, logIn, openContext, setTheme, shoot, token, visit } from "./browser";

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  browser = await launch();
  ({ context, page, complaints } = await openContext(browser));
});

afterAll(async () => {
  await browser?.close();
});

/** Asks the API with the page's own session. */
function api<T>(path: string): Promise<T> {
  return page.evaluate(async (where) => (await fetch(`/api/v1${where}`)).json(), path) as Promise<T>;
}

async function appName(): Promise<string> {
  const named = process.env["WHARF_APP"];
  if (named) return named;
  const { apps } = await api<{ apps: { name: string }[] }>("/apps");
  const first = apps[0]?.name;
  if (!first) throw new Error("no application is deployed\n  hint: wharf deploy examples/shop");
  return first;
}

test("the page has a policy without inline scripts, and a wrong token is refused in words", async () => {
  const response = await visit(page, "/");
  const policy = response?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain("unsafe");
  await page.getByLabel("Token", { exact: true }).fill("wharf_000000000000_wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("not valid").waitFor();
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    expect(await axe(page)).toEqual([]);
    await shoot(page, `login-${scheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  complaints.length = 0;
});

test("a token logs in, and the cookie is out of reach of scripts", async () => {
  await logIn(page);
  expect(await page.evaluate(() => document.cookie)).not.toContain("wharf_session");
  const cookie = (await context.cookies()).find(({ name }) => name.startsWith("wharf_session_"));
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
  expect(cookie?.value).not.toContain(token());
});

test("a scale from the page is watched to its end, live", async () => {
  const app = await appName();
  await visit(page, `/apps/${app}`);
  await page.getByRole("heading", { level: 1, name: app }).waitFor();
  await page.getByRole("button", { name: /^Scale / }).first().click();
  const field = page.getByRole("spinbutton", { name: "Replicas" });
  const before = Number(await field.inputValue());
  const wanted = before + 1;
  await field.fill(String(wanted));
  await page.getByRole("button", { name: new RegExp(`^Run ${wanted} of`) }).click();
  await page.waitForURL(/\/deploys\/\d+/);
  await page.getByRole("heading", { name: "Steps" }).waitFor();
  // A step appears without a reload, and the verdict comes by itself.
  await page.locator(".steps li").first().waitFor();
  await page.locator("#verdict.ok").waitFor({ timeout: 90_000 });
  expect(await page.locator(".steps li .status.ok").count()).toBeGreaterThan(0);
  expect(await page.locator(".steps li .status.info").count()).toBe(0);
  const { instances } = await api<{ instances: { app: string; state: { state: string } }[] }>("/instances");
  expect(instances.filter((line) => line.app === app && line.state.state === "healthy").length).toBeGreaterThanOrEqual(wanted);
  // Back to what it was.
  await visit(page, `/apps/${app}`);
  await page.getByRole("button", { name: /^Scale / }).first().click();
  await page.getByRole("spinbutton", { name: "Replicas" }).fill(String(before));
  await page.getByRole("button", { name: new RegExp(`^Run ${before} of`) }).click();
  await page.waitForURL(/\/deploys\/\d+/);
  await page.locator("#verdict.ok").waitFor({ timeout: 90_000 });
});

test("every place is without findings of axe in both themes", async () => {
  const app = await appName();
  const service = (await api<{ services: { name: string }[] }>(`/apps/${app}`)).services[0]?.name;
  const { deploys } = await api<{ deploys: { id: number }[] }>("/deploys?limit=1");
  const repositories = await api<{ name: string }[]>("/registry/repositories");
  const { hosts } = await api<{ hosts: { name: string }[] }>("/hosts");
  const { releases } = await api<{ releases: { number: number }[] }>(`/apps/${app}/releases`);
  const places: [name: string, path: string][] = [
    ["overview", "/"],
    ["applications", "/apps"],
    ["application", `/apps/${app}`],
    ["log", `/apps/${app}/logs/${service}`],
    ["log-of-nothing", `/apps/${app}/logs/no-such-service`],
    ["deploys", "/deploys"],
    ["deploy", `/deploys/${deploys[0]?.id}`],
    ["hosts", "/hosts"],
    ["host", `/hosts/${hosts[0]?.name}`],
    ["host-gone", "/hosts/no-such-host"],
    ["diff", `/apps/${app}/diff/${releases.at(-1)?.number}/${releases[0]?.number}`],
    ["activity", "/activity"],
    ["activity-empty", "/activity?who=nobody"],
    ["tokens", "/tokens"],
    ["images", `/images?repository=${encodeURIComponent(repositories[0]?.name ?? "none")}`],
    ["traffic", "/traffic"],
    ["not-found", "/no-such-place"],
  ];
  const found: string[] = [];
  for (const theme of ["light", "dark"] as const) {
    await visit(page, "/");
    await setTheme(page, theme);
    for (const [name, path] of places) {
      await visit(page, path);
      await page.locator("main h1").first().waitFor({ state: "attached" });
      await expect.poll(() => page.locator(".skeleton").count(), { timeout: 10_000 }).toBe(0);
      expect(await page.evaluate(() => document.documentElement.dataset["theme"]), "the theme is remembered").toBe(theme);
      for (const line of await axe(page)) found.push(`${name} ${theme}: ${line}`);
      await shoot(page, `${name}-${theme}`);
    }
  }
  expect(found).toEqual([]);
});

test("no place is wider than a narrow window", async () => {
  const app = await appName();
  const { hosts } = await api<{ hosts: { name: string }[] }>("/hosts");
  await page.setViewportSize({ width: 420, height: 900 });
  const wide: string[] = [];
  const service = (await api<{ services: { name: string }[] }>(`/apps/${app}`)).services[0]?.name;
  for (const path of ["/", "/apps", `/apps/${app}`, `/apps/${app}/logs/${service}`, "/deploys", "/hosts", `/hosts/${hosts[0]?.name}`, "/images", "/traffic", "/activity", "/tokens"]) {
    await visit(page, path);
    await page.locator("main h1").first().waitFor({ state: "attached" });
    await expect.poll(() => page.locator(".skeleton").count(), { timeout: 10_000 }).toBe(0);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (over > 0) wide.push(`${path} by ${over} px`);
    const lit = await page.locator(".rail [aria-current]").boundingBox();
    if (!lit || lit.x < 0 || lit.x + lit.width > 420) wide.push(`${path}: its place is out of sight in the rail`);
    await shoot(page, `narrow${path.replaceAll("/", "-")}`);
  }
  await page.setViewportSize({ width: 1440, height: 1000 });
  expect(wide).toEqual([]);
});

test("charts fill while the page is open", async () => {
  await visit(page, "/?range=2m");
  await page.locator(".plot canvas").first().waitFor();
  // The legend has a figure once the balancer has reported traffic; without any it says so.
  await page.locator(".legend td, .legend-none").first().waitFor();
  await page.waitForTimeout(5_000); // This is the passing of time itself: five more points.
  await shoot(page, "overview-5s");
});

test("keys work and the URL holds the view", async () => {
  await visit(page, "/");
  await page.getByRole("navigation", { name: "Places" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.locator("#search:focus").waitFor();
  await page.keyboard.type("hosts");
  await page.getByRole("option", { name: /^Hosts/ }).waitFor();
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/hosts/);
  await page.getByRole("combobox", { name: "Time" }).selectOption("15m");
  expect(page.url()).toContain("range=15m");
  await page.getByRole("link", { name: "Deploys" }).click();
  await page.waitForURL(/\/deploys\?range=15m/);
  await page.goBack();
  await page.waitForURL(/\/hosts/);
});

test("the log-out ends the session on the server", async () => {
  await page.getByRole("button", { name: /Log out/ }).click();
  await page.getByLabel("Token", { exact: true }).waitFor();
  const status = await page.evaluate(async () => (await fetch("/api/v1/session")).status);
  expect(status).toBe(401);
});

test("nothing went wrong on the way", () => {
  expect(complaints).toEqual([]);
});
