// One application: what serves, its services and replicas, routes and releases; scale and roll back.
import type { AppView, InstanceLine, ReleaseView, ServiceView, Table as RouteTable } from "../api/types";
import { Restart, RollBack, Scale } from "../components/actions";
import { Replicas, replicas } from "../components/app-table";
import { Same } from "../components/command";
import { Feed } from "../components/feed";
import { Status } from "../components/icon";
import { InstanceTable } from "../components/instance-table";
import { Empty, Loaded } from "../components/notice";
import { RouteList } from "../components/route-list";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { TrafficCharts } from "../components/traffic-charts";
import { image, shellWord } from "../format";
import { scope } from "../live/scope";
import { events } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { compared } from "../words/diff";
import { isInScope, scopeText } from "../words/scope";

export default function Application({ app: name }: { app: string }) {
  const base = `/apps/${encodeURIComponent(name)}`;
  const app = useApi<AppView>(base);
  const releases = useApi<{ releases: ReleaseView[] }>(`${base}/releases`);
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const routes = useApi<RouteTable>("/routes");
  const own = (instances.data?.instances ?? []).filter((line) => line.app === name && isInScope({ ...scope.value, app: name }, line));
  return (
    <Loaded of={app} rows={8}>
      {(view) => {
        const { desired, healthy } = replicas(view);
        return (
          <article>
            <div class="title">
              <h1>{name}</h1>
              <span>{view.release === null ? "no release serves" : `release ${view.release}`}</span>
              <Replicas healthy={healthy} all={desired} />
              {view.deploying === null ? null : <a href={href(`/deploys/${view.deploying}`)}>deploy {view.deploying} runs</a>}
              {view.previous_release === null ? null : <RollBack app={name} release={view.previous_release} serves={view.release} running={desired} />}
            </div>
            <TrafficCharts which={["requests", "latency"]} app={name} />
            <section aria-labelledby="services-title">
              <h2 id="services-title">Services</h2>
              <Services app={name} services={view.services.filter((service) => isInScope({ ...scope.value, app: name, host: undefined }, { service: service.name }))} own={own} />
            </section>
            <section aria-labelledby="containers-title">
              <h2 id="containers-title">Containers</h2>
              <Loaded of={instances}>
                {() => own.length === 0
                  ? <Empty command={`wharf ps ${shellWord(name)}`}>No host reports a container of {scopeText({ ...scope.value, app: name })}.</Empty>
                  : <InstanceTable instances={own} />}
              </Loaded>
            </section>
            <section aria-labelledby="routes-title">
              <h2 id="routes-title">Routes</h2>
              <Loaded of={routes}>
                {(table) => {
                  const ours = table.routes.filter((route) => route.app === name && isInScope({ ...scope.value, app: name }, { service: route.service }));
                  return ours.length === 0
                    ? <Empty>No route leads here. Give a service <code>x-wharf.route</code> in compose.yaml and deploy again.</Empty>
                    : <RouteList routes={ours} />;
                }}
              </Loaded>
            </section>
            <section aria-labelledby="releases-title">
              <h2 id="releases-title">Releases</h2>
              <Loaded of={releases}>{(data) => <Releases app={name} serves={view.release} releases={data.releases} running={desired} />}</Loaded>
            </section>
            <section aria-labelledby="feed-title">
              <h2 id="feed-title"><a href={href(`/activity?app=${encodeURIComponent(name)}`)}>Activity</a></h2>
              <Feed records={events.value} scope={{ ...scope.value, app: name }} limit={10} />
            </section>
          </article>
        );
      }}
    </Loaded>
  );
}

function Services({ app, services, own }: { app: string; services: readonly ServiceView[]; own: readonly InstanceLine[] }) {
  if (services.length === 0) return <p class="soft">None runs.</p>;
  const hosts = (service: ServiceView) => [...new Set(own.filter((line) => line.service === service.name).map((line) => line.host))].sort();
  return (
    <>
      <Table
        label="Services"
        rows={services}
        id={(service) => service.name}
        columns={[
          { name: "Service", by: (service) => service.name, cell: (service) => service.name },
          { name: "State", cell: (service) => <Replicas healthy={service.replicas_healthy} all={service.replicas_desired} /> },
          { name: "Release", isNumber: true, by: (service) => service.release, cell: (service) => service.release },
          { name: "Requests", cell: (service) => (service.routed ? "from outside" : "from inside only") },
          { name: "Hosts", cell: (service) => hosts(service).join(", ") || "–" },
          { name: "Image", cell: (service) => <span class="mono" title={service.image}>{image(service.image)}</span> },
          { name: "Actions", cell: (service) => <span class="row-actions"><a href={href(`/apps/${encodeURIComponent(app)}/logs/${encodeURIComponent(service.name)}`)} aria-label={`Log of ${service.name}`}>Log</a><Scale app={app} service={service.name} replicas={service.replicas_desired} /><Restart app={app} service={service.name} replicas={service.replicas_desired} /></span> },
        ]}
      />
      <Same command={`wharf ps ${shellWord(app)}`} request={{ method: "GET", path: `/apps/${encodeURIComponent(app)}` }} />
    </>
  );
}

function Releases({ app, serves, releases, running }: { app: string; serves: number | null; releases: readonly ReleaseView[]; running: number }) {
  if (releases.length === 0) return <p class="soft">There is none yet.</p>;
  return (
    <Table
      label="Releases"
      rows={releases}
      id={(row) => row.number}
      columns={[
        { name: "Release", by: (row) => row.number, cell: (row) => row.number },
        { name: "State", cell: (row) => (row.has_served === false ? <Status tone="calm" word="never served" /> : row.is_active ? <Status tone="ok" word="serves" /> : <Status tone="calm" word="kept" />) },
        { name: "Made", isNumber: true, by: (row) => row.created, cell: (row) => <Ago at={row.created} /> },
        { name: "By", by: (row) => row.author, cell: (row) => row.author },
        { name: "Message", cell: (row) => <span class="reason" title={row.message}>{row.message || "–"}</span> },
        { name: "Images", cell: (row) => <Images images={row.images} /> },
        { name: "Compare", cell: (row) => <Compare app={app} release={row.number} with={releases} serves={serves} /> },
        { name: "Actions", cell: (row) => (row.is_active || row.has_served === false ? null : <RollBack app={app} release={row.number} serves={serves} running={running} isShort />) },
      ]}
    />
  );
}

/** The way to what differs: from the release that serves, or for that one from the one before it. */
function Compare({ app, release, with: all, serves }: { app: string; release: number; with: readonly ReleaseView[]; serves: number | null }) {
  const [from, to] = compared(release, all.map((one) => one.number), serves) ?? [];
  if (from === undefined) return null;
  return <a href={href(`/apps/${encodeURIComponent(app)}/diff/${from}/${to}`)} aria-label={`What differs between release ${from} and ${to}`}>{from} and {to}</a>;
}

/** Service and the start of the digest; the whole reference on hover. */
function Images({ images }: { images: Record<string, string> }) {
  return (
    <span class="mono stack">
      {Object.entries(images).map(([service, reference]) => <span key={service} title={reference}>{service} {/@\w+:([0-9a-f]{12})/.exec(reference)?.[1] ?? reference}</span>)}
    </span>
  );
}
