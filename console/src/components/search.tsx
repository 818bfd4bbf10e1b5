// Search: goes to an application, host, deploy or place as it is typed. A combobox as WAI-ARIA describes it.
import { useState } from "preact/hooks";
import type { AppView, DeployView, HostView } from "../api/types";
import { useApi } from "../live/use-api";
import { PLACES } from "../places";
import { go, href } from "../router";
import { TOPICS, TOPIC_WORDS } from "../words/audit";
import { search } from "../words/search";
import { Icon } from "./icon";

interface Found {
  kind: string;
  text: string;
  to: string;
}

/** LIMIT: lines of the list. */
const SHOWN_MAX = 12;

export function Search() {
  const [text, setText] = useState("");
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState(0);
  const apps = useApi<{ apps: AppView[] }>(isOpen ? "/apps" : null);
  const hosts = useApi<{ hosts: HostView[] }>(isOpen ? "/hosts" : null);
  const deploys = useApi<{ deploys: DeployView[] }>(isOpen ? "/deploys?limit=50" : null);
  const all: Found[] = [
    ...(apps.data?.apps ?? []).map((app) => ({ kind: "application", text: app.name, to: `/apps/${encodeURIComponent(app.name)}` })),
    ...(hosts.data?.hosts ?? []).map((host) => ({ kind: "host", text: host.name, to: `/hosts/${encodeURIComponent(host.name)}` })),
    ...(apps.data?.apps ?? []).flatMap((app) => app.services.map((service) => ({ kind: "service", text: `${app.name} ${service.name}`, to: `/apps/${encodeURIComponent(app.name)}?app=${encodeURIComponent(app.name)}&service=${encodeURIComponent(service.name)}` }))),
    ...(deploys.data?.deploys ?? []).map((deploy) => ({ kind: "deploy", text: `${deploy.id} ${deploy.app} release ${deploy.release}`, to: `/deploys/${deploy.id}` })),
    ...PLACES.filter((place) => place.icon).map((place) => ({ kind: "place", text: place.name, to: place.pattern })),
    ...TOPICS.map((topic) => ({ kind: "filter", text: `Activity: ${TOPIC_WORDS[topic]}`, to: `/activity?kind=${topic}` })),
  ];
  const found = search(all, text).slice(0, SHOWN_MAX);
  const open = (item: Found | undefined) => {
    if (!item) return;
    go(href(item.to));
    setText("");
    setOpen(false);
    (document.activeElement as HTMLElement | null)?.blur();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setChosen(Math.min(chosen + 1, found.length - 1));
    else if (event.key === "ArrowUp") setChosen(Math.max(chosen - 1, 0));
    else if (event.key === "Enter") open(found[chosen]);
    else if (event.key === "Escape") {
      setOpen(false);
      (event.currentTarget as HTMLElement).blur();
    } else return;
    event.preventDefault();
  };
  const isShown = isOpen && found.length > 0;
  return (
    <div class="search">
      <Icon name="search" />
      <input
        id="search" type="text" role="combobox" autocomplete="off" placeholder="Search  /" aria-label="Search"
        aria-expanded={isShown} aria-controls="search-list" aria-autocomplete="list"
        aria-activedescendant={isShown ? `search-${chosen}` : undefined}
        value={text}
        onInput={(event) => { setText(event.currentTarget.value); setChosen(0); setOpen(true); }}
        onFocus={() => setOpen(true)} onBlur={() => setOpen(false)} onKeyDown={press}
      />
      <ul id="search-list" role="listbox" aria-label="Found" hidden={!isShown}>
        {found.map((item, index) => (
          <li
            key={item.to} id={`search-${index}`} role="option" aria-selected={index === chosen}
            // Before the blur, which closes the list.
            onMouseDown={(event) => { event.preventDefault(); open(item); }}
          >
            <span>{item.text}</span><span class="soft">{item.kind}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
