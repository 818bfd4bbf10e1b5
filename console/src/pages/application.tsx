// One application: what serves, its services and replicas, routes and releases; scale and roll back.
import type { AppView, EventRecord, InstanceLine, ReleaseView, Table as RouteTable } from "../api/types";
import { RollBack, Scale } from "../components/actions";
import { Replicas } from "../components/app-table";
import { Command } from "../components/command";
import { Feed } from "../components/feed";
import { Status } from "../components/icon";
import { InstanceTable } from "../components/instance-table";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { TrafficCharts } from "../components/traffic-charts";
import { count, image, shellWord } from "../format";
import { events } from "../live/store";
import { useApi } from "../live/use-api";
import { RouteList } from "../components/route-list";
import { tell } from "../words/events";

export default function Application({ app: name }: { app: string }) {
  const base = `/apps/${encodeURIComponent(name)}`;
  const app = useApi<AppView>(base);
  const releases = useApi<{ releases: ReleaseView[] }>(`${base}/releases`);
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const routes = useApi<RouteTable>("/routes");
  const own = (instances.data?.instances ?? []).filter((line) => line.app === name);
  return (
    <Loaded of={app} rows={8}>
      {({ release }) => {
        const serving = own.filter((line) => line.release === release);
        const healthy = serving.filter((line) => line.state.state === "healthy").length;
        return (
          <article>
            <div class="title">
              <h1>{name}</h1>
              <span>{release === null ? "no release serves" : `release ${release}`}</span>
              <Replicas healthy={healthy} all={serving.length} />
            </div>
            <TrafficCharts which={["requests", "latency"]} app={name} />
            <section aria-labelledby="services-title">
              <h2 id="services-title">Services</h2>
              <Services app={name} release={release} own={own} />
            </section>
            <section aria-labelledby="replicas-title">
              <h2 id="replicas-title">Replicas</h2>
              <Loaded of={instances}>
                {() => own.length === 0
                  ? <Empty command={`wharf deploy DIR`}>Nothing of {name} runs.</Empty>
                  : <InstanceTable instances={own} />}
              </Loaded>
            </section>
            <section aria-labelledby="routes-title">
              <h2 id="routes-title">Routes</h2>
              <Loaded of={routes}>
                {(table) => {
                  const ours = table.routes.filter((route) => route.app === name);
                  return ours.length === 0
                    ? <Empty>No route leads here. Give a service <code>x-wharf.route</code> in compose.yaml and deploy again.</Empty>
                    : <RouteList routes={ours} />;
                }}
              </Loaded>
            </section>
            <div class="columns">
              <section aria-labelledby="releases-title">
                <h2 id="releases-title">Releases</h2>
                <Loaded of={releases}>{(data) => <Releases app={name} serves={release} releases={data.releases} running={serving.length} />}</Loaded>
              </section>
              <section aria-labelledby="feed-title">
                <h2 id="feed-title">Activity</h2>
                <Feed records={events.value.filter((record: EventRecord) => tell(record.event).app === name)} limit={10} />
              </section>
            </div>
          </article>
        );
      }}
    </Loaded>
  );
}

function Services({ app, release, own }: { app: string; release: number | null; own: readonly InstanceLine[] }) {
  const names = [...new Set(own.map((line) => line.service))].sort();
  const rows = names.map((service) => {
    const lines = own.filter((line) => line.service === service);
    const current = lines.filter((line) => line.release === release);
    return { service, current, others: lines.length - current.length, hosts: [...new Set(current.map((line) => line.host))].sort() };
  });
  if (rows.length === 0) return <p class="soft">None runs.</p>;
  return (
    <>
      <Table
        label="Services"
        rows={rows}
        id={(row) => row.service}
        columns={[
          { name: "Service", by: (row) => row.service, cell: (row) => row.service },
          { name: "State", cell: (row) => <Replicas healthy={row.current.filter((line) => line.state.state === "healthy").length} all={row.current.length} /> },
          { name: "Hosts", cell: (row) => row.hosts.join(", ") || "–" },
          { name: "Other releases", isNumber: true, cell: (row) => (row.others === 0 ? "–" : count(row.others, "container")) },
          { name: "Actions", cell: (row) => <Scale app={app} service={row.service} replicas={row.current.length} /> },
        ]}
      />
      <p class="same"><span class="soft">The same as a command</span><Command line={`wharf ps --app ${shellWord(app)}`} /></p>
    </>
  );
}

function Releases({ app, serves, releases, running }: { app: string; serves: number | null; releases: readonly ReleaseView[]; running: number }) {
  if (releases.length === 0) return <p class="soft">There is none yet.</p>;
  return (
    <Table
      label="Releases"
      rows={releases.toSorted((a, b) => b.release - a.release)}
      id={(row) => row.release}
      columns={[
        { name: "Release", isNumber: true, by: (row) => row.release, cell: (row) => row.release },
        { name: "State", cell: (row) => (row.release === serves ? <Status tone="ok" word="serves" /> : <Status tone="calm" word="stored" />) },
        { name: "Made", isNumber: true, by: (row) => row.created, cell: (row) => <Ago at={row.created} /> },
        { name: "By", by: (row) => row.by ?? null, cell: (row) => row.by ?? "–" },
        {
          name: "Images",
          cell: (row) => (
            <span class="mono stack">
              {Object.entries(row.images ?? {}).map(([service, reference]) => <span key={service} title={reference}>{image(reference)}</span>)}
            </span>
          ),
        },
        { name: "Actions", cell: (row) => (row.release === serves ? null : <RollBack app={app} release={row.release} serves={serves} running={running} />) },
      ]}
    />
  );
}
