// The build, the development server and the unit tests.
//
// `npm run dev` talks to a real wharf (WHARF_URL, default http://127.0.0.1:7700); `npm run fixture` plays recorded-shape
// answers from dev/fixture.ts instead, for work on the pages.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { fixture } from "./dev/fixture.ts";

const server = process.env["WHARF_URL"] ?? "http://127.0.0.1:7700";

export default defineConfig(({ mode }) => ({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: mode === "fixture" ? [fixture()] : [],
  server: {
    port: 7710,
    proxy: mode === "fixture" ? {} : { "/api": { target: server, changeOrigin: true } },
  },
  build: {
    target: "es2022",
    // Everything inlined would need `unsafe-inline` or `data:` in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
}));
