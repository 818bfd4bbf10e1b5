// Numbers, sizes, times and names as people read them. Pure; the exact value belongs on hover.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1.5 GiB`, `512 B`. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return "–";
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${short(value)} ${UNITS[unit]}`;
}

/** Three digits that matter: `1234` → `1,234`, `12.3`, `0.05`. */
export function short(value: number): string {
  const size = Math.abs(value);
  const decimals = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** Requests a second: `1,999`, `0.4`. */
export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return "–";
  return perSecond === 0 ? "0" : short(perSecond);
}

/** Milliseconds as `850 µs`, `12.3 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(millis: number | null | undefined): string {
  if (millis === null || millis === undefined || !Number.isFinite(millis)) return "–";
  if (millis === 0) return "0 ms";
  if (millis < 1) return `${short(millis * 1000)} µs`;
  if (millis < 1_000) return `${short(millis)} ms`;
  // Rounded first, so that 59.96 s is `1 min 0 s` and not `60 s`.
  const tenths = Math.round(millis / 100) / 10;
  if (tenths < 60) return `${tenths.toLocaleString("en", { minimumFractionDigits: 1 })} s`;
  const seconds = Math.round(millis / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `just now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`; the future reads `in 5 min`. */
export function relative(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const size = Math.abs(seconds);
  if (size < 3) return "just now";
  const [count, unit] =
    size < 60 ? [size, "s"]
    : size < 3600 ? [Math.floor(size / 60), "min"]
    : size < 86_400 ? [Math.floor(size / 3600), "h"]
    : [Math.floor(size / 86_400), "d"];
  return seconds < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
}

/** `14:03:07` in the reader's zone. */
export function clock(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** `2026-11-24 04:09:17.123 UTC`: for hovers. */
export function utc(at: number): string {
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** A share as `0.02 %`; without requests `–`. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "–";
  const value = (part / whole) * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  return `${short(value)} %`;
}

/** `1 host`, `3 hosts`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

/** An image reference with the digest cut to twelve digits: `shop/web@sha256:0a1b2c3d4e5f…`. */
export function image(reference: string): string {
  return reference.replace(/@(sha256|sha512):([0-9a-f]{12})[0-9a-f]+/, "@$1:$2…");
}

/** The request as a curl command; the token comes from the environment. */
export function curl(origin: string, method: string, path: string, body?: unknown): string {
  const parts = ["curl", ...(method === "GET" ? [] : ["-X", method]), '-H "Authorization: Bearer $WHARF_TOKEN"'];
  if (body !== undefined) parts.push("-H 'content-type: application/json'", "-d", shellWord(JSON.stringify(body)));
  return [...parts, shellWord(`${origin}/api/v1${path}`)].join(" ");
}

/** A word for a shell: quoted when it has to be. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
