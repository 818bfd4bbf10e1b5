// Says what is missing before a browser is started.
import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { preview } from "vite";
import { ARTIFACTS, CHROMIUM } from "./browser";

export async function setup(): Promise<(() => Promise<void>) | void> {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}\n  hint: apt-get install chromium, or set CHROMIUM`);
  mkdirSync(ARTIFACTS, { recursive: true });
  if (process.env["WHARF_FIXTURE"] === "1") {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const server = await preview({ root, mode: "fixture", configFile: `${root}/vite.config.ts`, preview: { port: 7711, strictPort: true, host: "127.0.0.1" } });
    process.env["WHARF_URL"] = "http://127.0.0.1:7711";
    process.env["WHARF_TOKEN"] = "wharf_fixture";
    return () => server.close();
  }
  if (!process.env["WHARF_URL"] || !process.env["WHARF_TOKEN"]) {
    throw new Error("no server to test\n  hint: WHARF_URL=http://127.0.0.1:7700 WHARF_TOKEN=$(cat wharf-data/token) npm run e2e");
  }
  return undefined;
}
