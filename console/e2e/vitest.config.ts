// Journeys in Debian's Chromium against a running wharf: WHARF_URL and WHARF_TOKEN say which.
//
// WHARF_FIXTURE=1 serves the built console with the played answers of dev/fixture.ts instead: for work on the pages.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  test: {
    include: ["*.e2e.ts"],
    globalSetup: ["./setup.ts"],
    environment: "node",
    // One browser, one server: the journeys come one after the other.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
