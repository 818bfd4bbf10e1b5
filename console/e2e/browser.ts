// A fresh Chromium, and what every journey does with a page.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, type Page, type Response, chromium } from "playwright-core";
import type { AxeResults } from "axe-core";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
export const ARTIFACTS = process.env["WHARF_ARTIFACTS"] ?? fileURLToPath(new URL("../../target/console-e2e", import.meta.url));

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const url = (path: string): string => new URL(path, process.env["WHARF_URL"]).href;
export const token = (): string => process.env["WHARF_TOKEN"] ?? "";

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
}

/** A context that remembers everything that went wrong in its pages: errors, refused by the policy, failed requests. */
export async function openContext(browser: Browser): Promise<{ context: BrowserContext; page: Page; complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: "light" });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // 401 before the log-in is how the console finds out that there is no session. ERR_NETWORK_CHANGED is Chromium's answer to
    // a network interface that came or went, as with every container and lab host: the console asks again.
    if (message.type() === "error" && !/401|ERR_NETWORK_CHANGED/.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500) complaints.push(`${response.status()} ${response.url()}`);
  });
  return { context, page, complaints };
}

/** Goes to a page and waits until the console is there. A changed network (see above) may have cost it its script. */
export async function visit(page: Page, path: string): Promise<Response | null> {
  for (let tries = 1; ; tries += 1) {
    try {
      const response = await page.goto(url(path));
      await page.locator("#app > *").first().waitFor({ timeout: 10_000 });
      return response;
    } catch (error) {
      if (tries === 3) throw error;
    }
  }
}

export async function logIn(page: Page): Promise<void> {
  await visit(page, "/");
  await page.getByLabel("Token", { exact: true }).fill(token());
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Places" }).waitFor();
}

/** Sets the theme as a user does and waits until it holds. */
export async function setTheme(page: Page, theme: "light" | "dark"): Promise<void> {
  for (let tries = 0; tries < 3; tries += 1) {
    if ((await page.evaluate(() => document.documentElement.dataset["theme"])) === theme) return;
    await page.locator("#theme").click();
  }
  throw new Error(`the theme did not become ${theme}`);
}

/** What axe finds, one line each. It runs outside of the page's policy, through the debugger. */
export async function axe(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => (globalThis as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run());
  return result.violations.flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")} – ${node.failureSummary?.split("\n")[1]?.trim()}`));
}

export async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${ARTIFACTS}/${name}.png`, fullPage: true });
}
