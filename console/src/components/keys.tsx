// Keys: `/` searches, `?` lists the keys, `g` and a letter goes to a place.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { go, href } from "../router";
import { nextTheme } from "../theme";

export const areKeysShown = signal(false);

const PLACE_KEYS: Record<string, [path: string, name: string]> = {
  o: ["/", "Overview"],
  a: ["/apps", "Applications"],
  d: ["/deploys", "Deploys"],
  h: ["/hosts", "Hosts"],
  i: ["/images", "Images"],
  t: ["/traffic", "Traffic"],
  e: ["/activity", "Activity"],
  k: ["/tokens", "Tokens and roles"],
};

export function Keys() {
  useEffect(() => {
    let isGoing = false;
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, dialog[open]")) return;
      const wasGoing = isGoing;
      isGoing = false;
      if (wasGoing) {
        const place = PLACE_KEYS[event.key];
        if (place) go(href(place[0]));
      } else if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
      } else if (event.key === "?") areKeysShown.value = true;
      else if (event.key === "t") nextTheme();
      else if (event.key === "g") isGoing = true;
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return areKeysShown.value ? <KeyList /> : null;
}

function KeyList() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="keys-title" onClose={() => { areKeysShown.value = false; }}>
      <form method="dialog">
        <h2 id="keys-title">Keys</h2>
        <dl class="keys">
          <div><dt><kbd>/</kbd></dt><dd>Search</dd></div>
          <div><dt><kbd>?</kbd></dt><dd>This list</dd></div>
          <div><dt><kbd>t</kbd></dt><dd>Change the theme</dd></div>
          {Object.entries(PLACE_KEYS).map(([key, [, name]]) => (
            <div key={key}><dt><kbd>g</kbd> <kbd>{key}</kbd></dt><dd>{name}</dd></div>
          ))}
          <div><dt>drag on a chart</dt><dd>Zoom into that time, for the whole page</dd></div>
          <div><dt>double click on a chart</dt><dd>Back to now</dd></div>
        </dl>
        <div class="buttons"><button class="primary">Close</button></div>
      </form>
    </dialog>
  );
}
