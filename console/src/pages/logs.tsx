// The log of one service, live, from all hosts through their agents. Filters are in the URL.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { AppView } from "../api/types";
import { Same } from "../components/command";
import { Status } from "../components/icon";
import { Empty, Failure, Loaded } from "../components/notice";
import { count, shellWord } from "../format";
import { scope } from "../live/scope";
import { useApi } from "../live/use-api";
import { useTail } from "../live/use-tail";
import { go, href, query, setQuery } from "../router";
import { type Entry, type TailFilter, filterTail } from "../words/tail";

const STREAMS = ["stdout", "stderr"] as const;

export default function Logs({ app, service }: { app: string; service: string }) {
  const view = useApi<AppView>(`/apps/${encodeURIComponent(app)}`);
  return (
    <Loaded of={view} rows={8}>
      {({ services }) => services.some((one) => one.name === service)
        ? <Following key={`${app}/${service}`} app={app} service={service} services={services.map((one) => one.name)} />
        : <NoService app={app} service={service} />}
    </Loaded>
  );
}

function NoService({ app, service }: { app: string; service: string }) {
  return (
    <>
      <h1>Log of {service}</h1>
      <Failure error={new Error(`${app} has no service ${service}`)} />
      <p><a href={href(`/apps/${encodeURIComponent(app)}`)}>See what {app} has</a></p>
    </>
  );
}

function Following({ app, service, services }: { app: string; service: string; services: readonly string[] }) {
  const { tail, isLive } = useTail(app, service);
  const [isPaused, setPaused] = useState<Entry[] | null>(null);
  const wanted = query.value.get("stream");
  const filter: TailFilter = {
    text: query.value.get("text") ?? "", stream: STREAMS.find((one) => one === wanted), host: scope.value.host,
  };
  const shown = filterTail(isPaused ?? tail.entries, filter);
  const isFiltered = filter.text !== "" || filter.stream !== undefined || filter.host !== undefined;
  const waiting = isPaused === null ? 0 : tail.next - 1 - (isPaused.at(-1)?.id ?? 0);
  const pause = () => setPaused(isPaused === null ? [...tail.entries] : null);
  return (
    <>
      <div class="title">
        <h1>Log of {service}</h1>
        <a href={href(`/apps/${encodeURIComponent(app)}`)}>{app}</a>
        {isPaused ? <Status tone="calm" word="paused" /> : isLive ? <Status tone="ok" word="live" /> : <Status tone="warn" word="connecting" />}
        <span class="title-actions">
          <button type="button" onClick={pause} aria-pressed={isPaused !== null}>{isPaused === null ? "Pause" : waiting > 0 ? `Go on, ${count(waiting, "new line")}` : "Go on"}</button>
        </span>
      </div>
      <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          <span>Service</span>
          <select value={service} onChange={(event) => go(href(`/apps/${encodeURIComponent(app)}/logs/${encodeURIComponent(event.currentTarget.value)}`))}>
            {services.map((one) => <option key={one} value={one}>{one}</option>)}
          </select>
        </label>
        <label class="field">
          <span>Only lines with</span>
          <input type="text" value={filter.text} placeholder="text" autocomplete="off" spellcheck={false} onInput={(event) => setQuery({ text: event.currentTarget.value })} />
        </label>
        <label class="field">
          <span>Output</span>
          <select value={filter.stream ?? ""} onChange={(event) => setQuery({ stream: event.currentTarget.value }, false)}>
            <option value="">both</option>
            {STREAMS.map((one) => <option key={one} value={one}>{one}</option>)}
          </select>
        </label>
        {isFiltered ? <button type="button" class="quiet" onClick={() => setQuery({ text: null, stream: null, host: null }, false)}>Remove all filters</button> : null}
      </form>
      {shown.length > 0
        ? <Lines entries={shown} app={app} service={service} />
        : tail.entries.length > 0
          ? <Empty>None of {count(tail.entries.length, "line")} is taken by these filters.</Empty>
          : <Empty command={`wharf logs tail ${shellWord(service)} --app ${shellWord(app)} --since 24h`}>Nothing was printed yet. Lines appear here as they come.</Empty>}
      <p class="soft small">
        {count(shown.length, "line")} shown{tail.gone > 0 ? `; ${count(tail.gone, "older line")} left the page` : ""}. Times are those of the hosts.
      </p>
      <Same command={`wharf logs tail ${shellWord(service)} --app ${shellWord(app)} --follow`} request={{ method: "GET", path: `/apps/${encodeURIComponent(app)}/services/${encodeURIComponent(service)}/logs?follow=true` }} />
    </>
  );
}

/** How near to the end, in pixels, somebody must be to be taken along. */
const NEAR_END = 40;

/** The box stays at its end as lines come, unless somebody has scrolled back. */
function Lines({ entries, app, service }: { entries: readonly Entry[]; app: string; service: string }) {
  const box = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  const [isAway, setAway] = useState(false);
  const toEnd = () => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (isAtEnd.current) toEnd();
  }, [entries]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = () => {
      isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
      setAway(!isAtEnd.current);
    };
    element.addEventListener("scroll", watch, { passive: true });
    return () => element.removeEventListener("scroll", watch);
  }, []);
  const prefix = `${app}-${service}-`;
  return (
    <div class="tail">
      <ol class="tail-lines mono" ref={box} tabIndex={0} aria-label={`Lines of ${service}`}>
        {entries.map((entry) => ("note" in entry
          ? <li key={entry.id} class="tail-note">{entry.note.host}: {entry.note.message}</li>
          : (
            <li key={entry.id} class={entry.line.stream === "stderr" ? "tail-error" : ""}>
              <time class="soft" dateTime={entry.at === null ? undefined : new Date(entry.at).toISOString()} title={entry.at === null ? "the Engine did not say when" : new Date(entry.at).toISOString()}>{entry.at === null ? "–" : clock(entry.at)}</time>
              <span class="soft tail-from" title={`${entry.line.instance} on ${entry.line.host}`}>{entry.line.instance.startsWith(prefix) ? entry.line.instance.slice(prefix.length) : entry.line.instance} {entry.line.host}</span>
              <span class="tail-text">{entry.line.stream === "stderr" ? <span class="visually-hidden">stderr: </span> : null}{entry.line.text}</span>
            </li>
          )))}
      </ol>
      {isAway ? <button type="button" class="tail-end" onClick={toEnd}>To the newest line</button> : null}
    </div>
  );
}

/** `14:03:09.120` in local time. */
function clock(at: number): string {
  const date = new Date(at);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
