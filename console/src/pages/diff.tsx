// What differs between two releases of an application.
import type { Change, ReleaseDiff, ReleaseRef, ReleaseView } from "../api/types";
import { Same } from "../components/command";
import { Status } from "../components/icon";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { image, shellWord } from "../format";
import { useApi } from "../live/use-api";
import { go, href } from "../router";
import { changeState, groups, shortPath, summary } from "../words/diff";

export default function Diff({ app, from, to }: { app: string; from: string; to: string }) {
  const base = `/apps/${encodeURIComponent(app)}`;
  const path = `${base}/releases/${encodeURIComponent(from)}/diff/${encodeURIComponent(to)}`;
  const diff = useApi<ReleaseDiff>(path);
  const releases = useApi<{ releases: ReleaseView[] }>(`${base}/releases`);
  const numbers = (releases.data?.releases ?? []).map((release) => release.number);
  const choose = (a: string, b: string) => go(href(`${base}/diff/${a}/${b}`));
  return (
    <article>
      <div class="title">
        <h1><a href={href(base)}>{app}</a>, release {from} and {to}</h1>
        <Choice label="From release" chosen={from} numbers={numbers} choose={(number) => choose(number, to)} />
        <Choice label="To release" chosen={to} numbers={numbers} choose={(number) => choose(from, number)} />
        <button type="button" onClick={() => choose(to, from)}>Swap</button>
      </div>
      <Loaded of={diff} rows={6}>
        {(data) => (
          <>
            <div class="pair"><Side release={data.from} word="From" /><Side release={data.to} word="To" /></div>
            {data.changes.length === 0
              ? <Empty command={`wharf releases ${shellWord(app)}`}>{summary(data.changes)}</Empty>
              : <p id="summary">{summary(data.changes)}</p>}
            {groups(data.changes).map((group) => (
              <section key={group.service ?? ""} aria-label={group.service ?? "The whole application"}>
                <h2>{group.service ?? "The whole application"}</h2>
                <Changes label={`Changes of ${group.service ?? "the application"}`} changes={group.changes} />
              </section>
            ))}
          </>
        )}
      </Loaded>
      <Same command={`wharf releases diff ${shellWord(app)} ${from} ${to}`} request={{ method: "GET", path }} />
    </article>
  );
}

function Choice({ label, chosen, numbers, choose }: { label: string; chosen: string; numbers: readonly number[]; choose: (number: string) => void }) {
  const shown = [...new Set([...numbers.map(String), chosen])];
  return (
    <label class="field">
      <span>{label}</span>
      <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        {shown.map((number) => <option key={number} value={number}>{number}</option>)}
      </select>
    </label>
  );
}

function Side({ release, word }: { release: ReleaseRef; word: string }) {
  return (
    <div class="side">
      <p><strong>{word} release {release.number}</strong></p>
      <p class="soft">by {release.author}, <Ago at={release.created} /></p>
      <p>{release.message || <span class="soft">no message</span>}</p>
    </div>
  );
}

function Changes({ label, changes }: { label: string; changes: readonly Change[] }) {
  return (
    <Table
      label={label}
      rows={changes}
      id={(change) => `${change.path} ${change.before} ${change.after}`}
      columns={[
        { name: "What", by: (change) => change.path, cell: (change) => <span class="mono">{shortPath(change)}</span> },
        { name: "How", by: (change) => change.kind, cell: (change) => <Status {...changeState(change)} /> },
        { name: "Before", cell: (change) => <Value change={change} side="before" /> },
        { name: "After", cell: (change) => <Value change={change} side="after" /> },
      ]}
    />
  );
}

function Value({ change, side }: { change: Change; side: "before" | "after" }) {
  const isThere = side === "before" ? change.kind !== "added" : change.kind !== "removed";
  if (!isThere) return <span class="soft">–</span>;
  if (change.is_hidden) return <span class="soft" title="It may be a secret: the server does not tell it">not shown</span>;
  const value = change[side];
  return value ? <span class="mono value" title={value}>{image(value)}</span> : <span class="soft">there</span>;
}
