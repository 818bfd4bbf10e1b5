// One host: its state and why, what it is, how much of it is in use, what runs there and what happened to it.
import type { ComponentChildren } from "preact";
import type { GenerationLine, HostView, InstanceLine, OrphanLine } from "../api/types";
import { Same } from "../components/command";
import { Feed } from "../components/feed";
import { Drain, Join, Remove, isOwn } from "../components/host-actions";
import { Labels } from "../components/host-table";
import { Status } from "../components/icon";
import { InstanceTable } from "../components/instance-table";
import { Meter } from "../components/meter";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { bytes, count, shellWord } from "../format";
import { scope } from "../live/scope";
import { events, now } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { forHowLong, generationText, hostState, meters } from "../words/hosts";
import { isInScope } from "../words/scope";

export default function Host({ host: name }: { host: string }) {
  const hosts = useApi<{ hosts: HostView[] }>("/hosts");
  return (
    <Loaded of={hosts} rows={8}>
      {(data) => {
        const host = data.hosts.find((one) => one.name === name);
        if (host) return <Shown host={host} all={data.hosts} />;
        return <><h1>{name}</h1><Empty command="wharf host ls">There is no host of this name; it may have been removed. <a href={href("/hosts")}>All hosts</a></Empty></>;
      }}
    </Loaded>
  );
}

function Shown({ host, all }: { host: HostView; all: readonly HostView[] }) {
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const generations = useApi<{ generations: GenerationLine[] }>("/generations?limit=1");
  const own = (instances.data?.instances ?? []).filter((line) => line.host === host.name && isInScope({ ...scope.value, host: undefined }, line));
  const state = hostState(host, now.value);
  return (
    <article>
      <div class="title">
        <h1>{host.name}</h1>
        <Status tone={state.tone} word={`${state.word} ${forHowLong(host, now.value)}`.trim()} />
        <span class="title-actions"><Drain host={host} all={all} /><Remove host={host} /></span>
      </div>
      {state.reason === "" ? null : <p class={`verdict ${state.tone === "info" ? "info" : state.tone === "warn" ? "warn" : "bad"}`}>{state.reason}</p>}
      <div class="columns">
        <section aria-labelledby="resources-title">
          <h2 id="resources-title">In use</h2>
          <Resources host={host} />
        </section>
        <section aria-labelledby="about-title">
          <h2 id="about-title">About</h2>
          <About host={host} newest={generations.data?.generations[0]?.number} />
        </section>
      </div>
      <section aria-labelledby="containers-title">
        <h2 id="containers-title">Containers <span class="soft small">{host.instances_healthy} of {host.instances_desired} healthy</span></h2>
        <Loaded of={instances}>
          {() => own.length === 0 ? <Empty command="wharf ps">Nothing runs on {host.name}.</Empty> : <InstanceTable instances={own} />}
        </Loaded>
      </section>
      <LeftOver host={host.name} />
      <section aria-labelledby="feed-title">
        <h2 id="feed-title"><a href={href(`/activity?host=${encodeURIComponent(host.name)}`)}>Activity</a></h2>
        <Feed records={events.value} scope={{ app: undefined, service: undefined, host: host.name }} limit={12} isOnlyOfHost />
      </section>
      {isOwn(host) ? null : <section aria-label="Join again"><Join host={host.name} /></section>}
      <Same command={`wharf host show ${shellWord(host.name)}`} request={{ method: "GET", path: "/hosts" }} />
    </article>
  );
}

function Resources({ host }: { host: HostView }) {
  const shown = meters(host);
  if (shown.length === 0) {
    const why = host.liveness === "up" ? "Its agent does not tell; a newer one does." : "Nothing is known until its agent reports.";
    return <Empty command={`wharf host show ${shellWord(host.name)}`}>{why}</Empty>;
  }
  return (
    <div class={`meters ${host.liveness === "up" ? "" : "old"}`}>
      {shown.map((meter) => <Meter key={meter.name} meter={meter} />)}
      {host.liveness === "up" ? null : <p class="soft">As it was when the host was last heard.</p>}
    </div>
  );
}

const OWNERS: Record<OrphanLine["owner"], string> = { this_agent: "ours", other_agent: "of another agent", foreign: "not ours" };

/** What a deploy or removal has left there; the section is there when something is. */
function LeftOver({ host }: { host: string }) {
  const orphans = useApi<{ orphans: OrphanLine[] }>("/orphans");
  const own = (orphans.data?.orphans ?? []).filter((line) => line.host === host);
  if (own.length === 0) return null;
  return (
    <section aria-labelledby="orphans-title">
      <h2 id="orphans-title">Left over <span class="soft small">no generation names it</span></h2>
      <Table
        label="Left over"
        rows={own}
        id={(line) => `${line.kind} ${line.id}`}
        columns={[
          { name: "Kind", by: (line) => line.kind, cell: (line) => line.kind },
          { name: "Name", by: (line) => line.name, cell: (line) => <span class="mono">{line.name}</span> },
          { name: "Application", by: (line) => line.app, cell: (line) => line.app || "–" },
          { name: "Whose", by: (line) => line.owner, cell: (line) => OWNERS[line.owner] ?? line.owner },
          { name: "Detail", cell: (line) => line.detail || "–" },
        ]}
      />
      <Same command="wharf ps --orphans" request={{ method: "GET", path: "/orphans" }} />
    </section>
  );
}

function About({ host, newest }: { host: HostView; newest: number | undefined }) {
  const system = [host.operating_system, host.kernel, host.architecture].filter(Boolean).join(", ");
  return (
    <dl class="facts">
      <Fact name="Labels"><Labels labels={host.labels} /></Fact>
      <Fact name="Address"><span class="mono">{host.address ?? "this machine"}</span></Fact>
      <Fact name="Generation">{generationText(host, newest)}</Fact>
      <Fact name="Last seen">{host.liveness === "never" ? "–" : <Ago at={host.last_seen} />}</Fact>
      <Fact name="System">{system || "–"}</Fact>
      <Fact name="Engine">{host.engine_version ?? "–"}</Fact>
      <Fact name="Agent">{host.agent_version ?? "–"}</Fact>
      <Fact name="Size">{[host.cpus === null ? "" : count(host.cpus, "CPU"), host.memory_bytes === null ? "" : `${bytes(host.memory_bytes)} memory`].filter(Boolean).join(", ") || "–"}</Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}
