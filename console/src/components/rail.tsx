// The left rail: the places, and at its foot who is logged in, the theme, the keys.
import { useEffect, useRef } from "preact/hooks";
import { logOut, session } from "../live/store";
import { PLACES } from "../places";
import { href } from "../router";
import { nextTheme, theme } from "../theme";
import { Icon } from "./icon";
import { areKeysShown } from "./keys";

const THEMES = { system: { icon: "system", word: "System theme" }, light: { icon: "sun", word: "Light theme" }, dark: { icon: "moon", word: "Dark theme" } } as const;

export function Rail({ under }: { under: string }) {
  const shown = THEMES[theme.value];
  const rail = useRef<HTMLElement>(null);
  useEffect(() => {
    // In a narrow window the places are one line that scrolls: the one that is shown is in sight. The page stays where it is.
    const here = rail.current?.querySelector<HTMLElement>("[aria-current]");
    if (rail.current && here) rail.current.scrollLeft = here.offsetLeft - (rail.current.clientWidth - here.offsetWidth) / 2;
  }, [under]);
  return (
    <header class="rail" ref={rail}>
      <a class="brand" href={href("/")}>
        <img src="/favicon.svg" alt="" width="24" height="24" />Wharf
      </a>
      <nav aria-label="Places">
        {PLACES.map((place) => place.icon
          ? (
            <a key={place.pattern} href={href(place.pattern)} aria-current={place.under === under ? "page" : undefined}>
              <Icon name={place.icon} /><span>{place.name}</span>
            </a>
          )
          : null)}
      </nav>
      <div class="rail-foot">
        <button type="button" class="quiet" id="theme" onClick={nextTheme} title="Change the theme: system, light, dark">
          <Icon name={shown.icon} /><span>{shown.word}</span>
        </button>
        <button type="button" class="quiet" onClick={() => { areKeysShown.value = true; }}>
          <kbd>?</kbd><span>Keys</span>
        </button>
        <button type="button" class="quiet" onClick={logOut} title={`Logged in as ${session.value?.name}, ${session.value?.role}`}>
          <Icon name="out" /><span>Log out <span class="soft">{session.value?.name}</span></span>
        </button>
      </div>
    </header>
  );
}
