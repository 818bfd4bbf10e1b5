// Activity: everything that changed state, with who did it; the audit log. Filters are in the URL, new lines come by themselves.
import type { EventRecord } from "../api/types";
import { Command } from "../components/command";
import { Icon } from "../components/icon";
import { Empty, Failure, Skeleton } from "../components/notice";
import { ClockTime } from "../components/time";
import { count, curl, shellWord } from "../format";
import { scope } from "../live/scope";
import { useAudit } from "../live/use-audit";
import { href, query, setQuery } from "../router";
import { type Filter, TOPICS, TOPIC_WORDS, byDay, filterCommand, filterQuery, isFiltered, topicOf } from "../words/audit";
import { hostOf, tellAll, whoOf } from "../words/events";

const dayName = (at: number): string => new Date(at).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export default function Activity() {
  const filter: Filter = { ...scope.value, kind: query.value.get("kind") ?? undefined, who: query.value.get("who") ?? undefined };
  const sent = filterQuery(filter);
  const audit = useAudit(sent);
  const { records } = audit;
  return (
    <>
      <div class="title"><h1>Activity</h1><span class="soft">everything that changed state, and who did it</span></div>
      <Filters filter={filter} />
      {audit.error ? <Failure error={audit.error} retry={audit.retry} /> : null}
      {records === undefined ? (audit.error ? null : <Skeleton rows={8} />) : records.length === 0
        ? <Nothing filter={filter} hasOlder={audit.hasOlder} />
        : byDay(records, dayName).map(({ day, records: own }) => (
          <section key={day} aria-label={day}>
            <h2>{day}</h2>
            <Day records={own} />
          </section>
        ))}
      {records === undefined ? null : (
        <p class="line-of">
          {audit.hasOlder
            ? <button type="button" onClick={audit.loadOlder} disabled={audit.isLoading}>Show older</button>
            : <span class="soft">This is the beginning of what is kept.</span>}
          <span class="soft">{count(records.length, "line")} shown</span>
        </p>
      )}
      <div class="same-as">
        <p class="soft">The same as commands</p>
        <Command line={filterCommand(filter, shellWord)} />
        <Command line={curl(location.origin, "GET", `/events?${sent}`)} />
      </div>
    </>
  );
}

function Filters({ filter }: { filter: Filter }) {
  const submit = (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setQuery({ who: String(form.get("who") ?? "").trim() }, false);
  };
  const isOther = filter.kind !== undefined && !(TOPICS as readonly string[]).includes(filter.kind);
  return (
    <form class="filters" onSubmit={submit} role="search" aria-label="Filters">
      <label class="field">
        <span>Kind</span>
        <select value={filter.kind ?? ""} onChange={(event) => setQuery({ kind: event.currentTarget.value }, false)}>
          <option value="">Everything</option>
          {TOPICS.map((topic) => <option key={topic} value={topic}>{TOPIC_WORDS[topic]}</option>)}
          {isOther ? <option value={filter.kind}>{filter.kind}</option> : null}
        </select>
      </label>
      <label class="field">
        <span>Who</span>
        <input key={filter.who ?? ""} type="text" name="who" defaultValue={filter.who ?? ""} placeholder="name of a token" autocomplete="off" spellcheck={false} />
      </label>
      <button type="submit">Filter</button>
      {isFiltered(filter) ? <button type="button" class="quiet" onClick={() => setQuery({ kind: null, who: null, app: null, service: null, host: null }, false)}>Remove all filters</button> : null}
    </form>
  );
}

function Nothing({ filter, hasOlder }: { filter: Filter; hasOlder: boolean }) {
  if (hasOlder) return <Empty>Nothing of this kind among the newest records; older ones may have it.</Empty>;
  return <Empty command={filterCommand(filter, shellWord)}>{isFiltered(filter) ? "Nothing that these filters take has happened." : "Nothing has happened yet."}</Empty>;
}

/** What came before matters to how a line is told: the list is told oldest first and shown newest first. */
function Day({ records }: { records: readonly EventRecord[] }) {
  const told = tellAll(records.toReversed()).reverse();
  return (
    <ol class="audit">
      {told.map(({ record, told: { tone, text, href: to } }) => {
        const [who, host] = [whoOf(record.event), hostOf(record.event)];
        return (
          <li key={record.id}>
            <span class="soft"><ClockTime at={record.at} /></span>
            <span class={`status ${tone}`}><Icon name={tone} /></span>
            <span class="feed-text">{to ? <a href={href(to)}>{text}</a> : text}</span>
            <span class="soft audit-topic">{TOPIC_WORDS[topicOf(record.event)]}</span>
            <span class="soft audit-who">
              {who ? <button type="button" class="link" onClick={() => setQuery({ who }, false)} aria-label={`Only what ${who} did`}>{who}</button> : host ?? ""}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
