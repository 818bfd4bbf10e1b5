// Traffic: the routes and their targets, what each balancer does, requests in flight.
import type { Table as RouteTable } from "../api/types";
import { Empty, Loaded } from "../components/notice";
import { RouteList } from "../components/route-list";
import { Status } from "../components/icon";
import { Table } from "../components/table";
import { TrafficCharts } from "../components/traffic-charts";
import { bytes, duration, percent, rate } from "../format";
import { scope } from "../live/scope";
import { balancers } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { isInScope } from "../words/scope";

export default function Traffic() {
  // Requests in flight change all the time: asked again each second.
  const routes = useApi<RouteTable>("/routes", 1_000);
  const { app } = scope.value;
  return (
    <>
      <h1>Traffic</h1>
      <TrafficCharts which={["requests", "errors", "median", "latency"]} app={app} />
      <section aria-labelledby="releases-title">
        <h2 id="releases-title">Releases</h2>
        <Releases />
      </section>
      <section aria-labelledby="routes-title">
        <h2 id="routes-title">Routes</h2>
        <Loaded of={routes}>
          {(table) => {
            const shown = table.routes.filter((route) => isInScope(scope.value, { app: route.app, service: route.service }));
            return shown.length === 0
              ? <Empty command="wharf deploy DIR">No route. A service with <code>x-wharf.route</code> in its compose.yaml gets one, and so does <code>balancer.routes</code> in wharf.yaml.</Empty>
              : <RouteList routes={shown} />;
          }}
        </Loaded>
      </section>
    </>
  );
}

function Releases() {
  const rows = balancers.value.flatMap((balancer) => balancer.traffic
    .filter((traffic) => isInScope(scope.value, { app: traffic.app, service: traffic.service }))
    .map((traffic) => ({ ...traffic, balancer: balancer.name })));
  if (rows.length === 0) return <Empty command="curl -i http://127.0.0.1:8080/">No balancer has reported a request yet.</Empty>;
  return (
    <Table
      label="Traffic by release"
      rows={rows}
      id={(row) => `${row.balancer} ${row.app} ${row.service} ${row.release}`}
      columns={[
        { name: "Application", by: (row) => row.app, cell: (row) => (row.app === "" ? "wharf.yaml" : <a href={href(`/apps/${encodeURIComponent(row.app)}`)}>{row.app}</a>) },
        { name: "Service", by: (row) => row.service, cell: (row) => row.service },
        { name: "Release", isNumber: true, by: (row) => row.release, cell: (row) => row.release || "–" },
        { name: "State", by: (row) => Number(row.is_active), cell: (row) => (row.is_active ? <Status tone="ok" word="gets requests" /> : <Status tone="calm" word={row.in_flight > 0 ? "draining" : "past"} />) },
        { name: "Balancer", by: (row) => row.balancer, cell: (row) => row.balancer },
        { name: "Requests/s", isNumber: true, by: (row) => row.rate, cell: (row) => rate(row.rate) },
        { name: "p50", isNumber: true, by: (row) => row.p50_ms, cell: (row) => duration(row.p50_ms) },
        { name: "p99", isNumber: true, by: (row) => row.p99_ms, cell: (row) => duration(row.p99_ms) },
        { name: "In flight", isNumber: true, by: (row) => row.in_flight, cell: (row) => row.in_flight },
        { name: "Requests", isNumber: true, by: (row) => row.requests, cell: (row) => row.requests.toLocaleString("en") },
        { name: "Errors", isNumber: true, by: (row) => row.errors, cell: (row) => <span title={`${row.errors} of ${row.requests}`}>{percent(row.errors, row.requests)}</span> },
        { name: "Given up", isNumber: true, by: (row) => row.client_aborts, cell: (row) => row.client_aborts },
        { name: "Sent", isNumber: true, by: (row) => row.bytes_out, cell: (row) => <span title={`${row.bytes_out} bytes`}>{bytes(row.bytes_out)}</span> },
      ]}
    />
  );
}
