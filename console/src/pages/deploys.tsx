// Deploys: what was changed, by whom, how it ended.
import type { DeployView } from "../api/types";
import { Status } from "../components/icon";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { duration } from "../format";
import { scope } from "../live/scope";
import { now } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { what } from "../words/events";
import { stateOf } from "../words/verdict";

/** Of the newest; older ones are in the API. */
const LIMIT = 200;

export default function Deploys() {
  const deploys = useApi<{ deploys: DeployView[] }>(`/deploys?limit=${LIMIT}`);
  const took = (deploy: DeployView) => (deploy.ended ?? now.value) - deploy.started;
  return (
    <>
      <h1>Deploys</h1>
      <Loaded of={deploys} rows={8}>
        {(data) => {
          const shown = data.deploys.filter((deploy) => scope.value.app === undefined || deploy.app === scope.value.app);
          if (shown.length === 0) return <Empty command="wharf deploy DIR">Nothing has been deployed yet. DIR has the compose.yaml.</Empty>;
          return (
            <Table
              label="Deploys"
              rows={shown}
              id={(deploy) => deploy.id}
              columns={[
                { name: "Number", isNumber: true, by: (deploy) => deploy.id, cell: (deploy) => <a href={href(`/deploys/${deploy.id}`)}>{deploy.id}</a> },
                { name: "What", by: (deploy) => deploy.what, cell: (deploy) => <a href={href(`/deploys/${deploy.id}`)}>{what(deploy.what, deploy.app, deploy.release)}</a> },
                { name: "Application", by: (deploy) => deploy.app, cell: (deploy) => <a href={href(`/apps/${encodeURIComponent(deploy.app)}`)}>{deploy.app}</a> },
                { name: "Release", isNumber: true, by: (deploy) => deploy.release, cell: (deploy) => deploy.release },
                { name: "State", by: (deploy) => deploy.state, cell: (deploy) => <Status {...stateOf(deploy)} title={deploy.error ?? undefined} /> },
                { name: "By", by: (deploy) => deploy.by, cell: (deploy) => deploy.by },
                { name: "Took", isNumber: true, by: took, cell: (deploy) => duration(took(deploy)) },
                { name: "Started", isNumber: true, by: (deploy) => deploy.started, cell: (deploy) => <Ago at={deploy.started} /> },
              ]}
            />
          );
        }}
      </Loaded>
    </>
  );
}
