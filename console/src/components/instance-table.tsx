// Containers: which, where, in what state, since when.
import type { InstanceLine } from "../api/types";
import { href } from "../router";
import type { Tone } from "../words/events";
import { Status } from "./icon";
import { Table } from "./table";
import { Ago } from "./time";

export function instanceState(line: InstanceLine): { tone: Tone; word: string; title: string | undefined } {
  const { state, reason, code } = line.state;
  if (line.host_liveness === "lost") return { tone: "bad", word: "host lost", title: `before: ${state}` };
  const tones: Record<typeof state, Tone> = {
    waiting: "calm", pulling: "info", starting: "info", healthy: "ok", unhealthy: "warn", stopping: "calm", exited: "bad", failed: "bad",
  };
  const word = code === undefined ? state : `${state}, status ${code}`;
  const detail = [reason, ...line.log_tail].filter((text) => text !== undefined).join("\n");
  return { tone: tones[state] ?? "calm", word, title: detail === "" ? undefined : detail };
}

export function InstanceTable({ instances }: { instances: readonly InstanceLine[] }) {
  return (
    <Table
      label="Containers"
      rows={instances}
      id={(line) => `${line.host} ${line.id}`}
      columns={[
        { name: "Container", by: (line) => line.id, cell: (line) => <span title={line.container_id ?? undefined}>{line.id}</span> },
        { name: "Host", by: (line) => line.host, cell: (line) => <a href={href(`/hosts/${encodeURIComponent(line.host)}`)}>{line.host}</a> },
        { name: "Service", by: (line) => line.service, cell: (line) => <a href={href(`/apps/${encodeURIComponent(line.app)}`)}>{line.service}</a> },
        { name: "Release", isNumber: true, by: (line) => line.release, cell: (line) => line.release },
        {
          name: "State",
          by: (line) => line.state.state,
          cell: (line) => <><Status {...instanceState(line)} />{line.state.reason ? <span class="soft reason">{line.state.reason}</span> : null}</>,
        },
        { name: "Since", isNumber: true, by: (line) => line.since, cell: (line) => <Ago at={line.since} /> },
        { name: "Restarts", isNumber: true, by: (line) => line.restarts, cell: (line) => line.restarts },
        { name: "Address", by: (line) => line.address, cell: (line) => <span class="mono">{line.address ?? "–"}</span> },
      ]}
    />
  );
}
