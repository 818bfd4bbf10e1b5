// After the build: compresses what is text, and fails when the first load has grown over its limit.
//
// The server sends `NAME.gz` to those who take gzip. The first load is index.html, its script and style, what they import
// at once, and the parts of the first place (Overview).
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const FIRST_LOAD_BYTES_MAX = 60 * 1024;
const dist = new URL("../dist/", import.meta.url).pathname;

const sizes = new Map();
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(html|js|css|svg|json)$/.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const compressed = gzipSync(readFileSync(path), { level: 9 });
  writeFileSync(`${path}.gz`, compressed);
  sizes.set(path.slice(dist.length), compressed.length);
}

/** The files that `start` needs at once, through static imports. */
function withImports(start, found = new Set()) {
  if (found.has(start)) return found;
  found.add(start);
  if (start.endsWith(".js")) {
    const text = readFileSync(join(dist, start), "utf8");
    for (const [, name] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) withImports(`assets/${name}`, found);
  }
  return found;
}

const html = readFileSync(join(dist, "index.html"), "utf8");
const first = new Set(["index.html"]);
for (const [, name] of html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css|svg))"/g)) withImports(name, first);
for (const name of sizes.keys()) {
  if (/^assets\/(overview|plot)-/.test(name)) withImports(name, first);
}
let total = 0;
for (const name of [...first].sort()) {
  total += sizes.get(name) ?? 0;
  console.log(`${String(sizes.get(name) ?? 0).padStart(7)}  ${name}`);
}
console.log(`${String(total).padStart(7)}  first load, gzip (limit ${FIRST_LOAD_BYTES_MAX})`);
if (total > FIRST_LOAD_BYTES_MAX) process.exitCode = 1;
