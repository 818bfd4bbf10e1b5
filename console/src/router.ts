// The URL as signals. It holds the whole view (place, range, scope, sort), so that it can be pasted in a chat.
import { computed, signal } from "@preact/signals";

const here = signal(currentUrl());

export const path = computed(() => here.value.pathname);
export const query = computed(() => here.value.searchParams);

/** Parameters that go along from place to place: the range and the scope (application, service, host) hold for everything. */
const KEPT = ["range", "from", "to", "app", "service", "host"];

function currentUrl(): URL {
  return new URL(location.href);
}

/** Goes to `to`; `replace` leaves no entry in the history. */
export function go(to: string, replace = false): void {
  const url = new URL(to, location.href);
  if (url.href === here.value.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  const isNewPlace = url.pathname !== here.value.pathname;
  here.value = url;
  if (isNewPlace) window.scrollTo(0, 0);
}

/** Sets or removes (`null`) parameters of the current view. */
export function setQuery(changes: Record<string, string | null>, replace = true): void {
  const url = new URL(here.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url.href, replace);
}

/** The address of a place, with what is kept of the current one. */
export function href(to: string): string {
  const url = new URL(to, "http://wharf");
  for (const name of KEPT) {
    const value = query.value.get(name);
    if (value !== null && !url.searchParams.has(name)) url.searchParams.set(name, value);
  }
  return url.pathname + url.search;
}

/** Takes clicks on links of ours; those with a modifier, to elsewhere or for a download stay the browser's. */
export function takeOverLinks(): void {
  addEventListener("popstate", () => {
    here.value = currentUrl();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    if (link.hash && link.pathname === location.pathname) {
      document.getElementById(link.hash.slice(1))?.focus();
      return;
    }
    go(link.href);
  });
}
