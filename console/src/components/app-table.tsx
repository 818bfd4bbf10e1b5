// Applications: what serves, how much, how well.
import type { AppView } from "../api/types";
import { duration, percent, rate } from "../format";
import { type Sample, recent, seriesKey } from "../live/history";
import { scope } from "../live/scope";
import { history, historyVersion } from "../live/store";
import { href } from "../router";
import { isInScope } from "../words/scope";
import { Status } from "./icon";
import { Empty } from "./notice";
import { Table } from "./table";

interface Row {
  app: AppView;
  desired: number;
  healthy: number;
  sample: Sample | null;
}

export function AppTable({ apps }: { apps: readonly AppView[] }) {
  void historyVersion.value;
  if (apps.length === 0) return <Empty command="wharf deploy DIR">No application is deployed yet. DIR has the compose.yaml.</Empty>;
  const rows = apps
    .filter((app) => isInScope({ ...scope.value, host: undefined }, { app: app.name }))
    .map((app): Row => {
      const sample = app.release === null ? null : recent(history.series.get(seriesKey(app.name, app.release)));
      const { desired, healthy } = replicas(app);
      return { app, desired, healthy, sample };
    });
  return (
    <Table
      label="Applications"
      rows={rows}
      id={(row) => row.app.name}
      columns={[
        { name: "Name", by: (row) => row.app.name, cell: (row) => <a href={href(`/apps/${encodeURIComponent(row.app.name)}`)}>{row.app.name}</a> },
        { name: "Release", isNumber: true, by: (row) => row.app.release, cell: (row) => row.app.release ?? "–" },
        { name: "State", by: (row) => row.healthy - row.desired, cell: (row) => <><Replicas healthy={row.healthy} all={row.desired} />{row.app.deploying === null ? null : <> <a href={href(`/deploys/${row.app.deploying}`)}>deploying</a></>}</> },
        { name: "Requests/s", isNumber: true, by: (row) => row.sample?.rate ?? null, cell: (row) => rate(row.sample?.rate) },
        { name: "Errors", isNumber: true, by: (row) => row.sample?.errors ?? null, cell: (row) => (row.sample ? percent(row.sample.errors, row.sample.rate) : "–") },
        { name: "p99", isNumber: true, by: (row) => row.sample?.p99 ?? null, cell: (row) => duration(row.sample?.p99) },
      ]}
    />
  );
}

/** Over all services. */
export function replicas(app: AppView): { desired: number; healthy: number } {
  return app.services.reduce(
    (sum, service) => ({ desired: sum.desired + service.replicas_desired, healthy: sum.healthy + service.replicas_healthy }),
    { desired: 0, healthy: 0 },
  );
}

/** `3 of 3 healthy`, in words and colour. */
export function Replicas({ healthy, all }: { healthy: number; all: number }) {
  if (all === 0) return <Status tone="calm" word="nothing runs" />;
  const tone = healthy === all ? "ok" : healthy === 0 ? "bad" : "warn";
  return <Status tone={tone} word={`${healthy} of ${all} healthy`} />;
}
