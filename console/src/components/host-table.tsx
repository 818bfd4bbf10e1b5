// Hosts: who is there, what runs there.
import type { ComponentChildren } from "preact";
import type { HostView } from "../api/types";
import { bytes } from "../format";
import { href } from "../router";
import type { Tone } from "../words/events";
import { Replicas } from "./app-table";
import { Status } from "./icon";
import { type Column, Table } from "./table";
import { Ago } from "./time";

export function hostState(host: HostView): { tone: Tone; word: string } {
  if (host.liveness === "lost") return { tone: "bad", word: "lost" };
  if (host.liveness === "never") return { tone: "warn", word: "never connected" };
  return host.draining ? { tone: "info", word: "draining" } : { tone: "ok", word: "up" };
}

interface Props {
  hosts: readonly HostView[];
  /** Without the columns that only the page of hosts needs. */
  isShort?: boolean;
  actions?: (host: HostView) => ComponentChildren;
}

export function HostTable({ hosts, isShort, actions }: Props) {
  const columns: Column<HostView>[] = [
    { name: "Name", by: (host) => host.name, cell: (host) => <a href={href(`/hosts?host=${encodeURIComponent(host.name)}`)}>{host.name}</a> },
    { name: "State", by: (host) => hostState(host).word, cell: (host) => <Status {...hostState(host)} /> },
    { name: "Labels", cell: (host) => <Labels labels={host.labels} /> },
    { name: "Instances", by: (host) => host.instances_desired, cell: (host) => <Replicas healthy={host.instances_healthy} all={host.instances_desired} /> },
  ];
  if (!isShort) {
    columns.push(
      { name: "CPUs", isNumber: true, by: (host) => host.cpus, cell: (host) => host.cpus ?? "–" },
      { name: "Memory", isNumber: true, by: (host) => host.memory_bytes, cell: (host) => <span title={host.memory_bytes === null ? "" : `${host.memory_bytes} bytes`}>{bytes(host.memory_bytes)}</span> },
      { name: "Address", by: (host) => host.address, cell: (host) => <span class="mono">{host.address ?? "this machine"}</span> },
      { name: "Engine", by: (host) => host.engine_version, cell: (host) => host.engine_version ?? "–" },
      { name: "Agent", by: (host) => host.agent_version, cell: (host) => host.agent_version ?? "–" },
    );
  }
  if (!isShort) columns.push({ name: "Generation", isNumber: true, by: (host) => host.generation, cell: (host) => host.generation });
  columns.push({ name: "Last seen", isNumber: true, by: (host) => host.last_seen, cell: (host) => (host.liveness === "never" ? "–" : <Ago at={host.last_seen} />) });
  if (actions) columns.push({ name: "Actions", cell: actions });
  return <Table label="Hosts" rows={hosts} id={(host) => host.name} columns={columns} />;
}

export function Labels({ labels }: { labels: Record<string, string> }) {
  const pairs = Object.entries(labels);
  return <span class="labels">{pairs.length === 0 ? "–" : pairs.map(([key, value]) => <span key={key} class="label">{key}={value}</span>)}</span>;
}
