// Hosts: who is there, what runs there.
import type { ComponentChildren } from "preact";
import type { HostView } from "../api/types";
import { bytes } from "../format";
import { now } from "../live/store";
import { href } from "../router";
import { generationText, hostState, meters } from "../words/hosts";
import { Replicas } from "./app-table";
import { Status } from "./icon";
import { Share } from "./meter";
import { type Column, Table } from "./table";
import { Ago } from "./time";

interface Props {
  hosts: readonly HostView[];
  /** Without the columns that only the page of hosts needs. */
  isShort?: boolean;
  actions?: (host: HostView) => ComponentChildren;
}

export function HostTable({ hosts, isShort, actions }: Props) {
  const newest = Math.max(0, ...hosts.map((host) => host.generation));
  const columns: Column<HostView>[] = [
    { name: "Name", by: (host) => host.name, cell: (host) => <a href={href(`/hosts/${encodeURIComponent(host.name)}`)}>{host.name}</a> },
    { name: "State", by: (host) => hostState(host, now.value).word, cell: (host) => <State host={host} /> },
    { name: "Labels", cell: (host) => <Labels labels={host.labels} /> },
    { name: "Instances", by: (host) => host.instances_desired, cell: (host) => <Replicas healthy={host.instances_healthy} all={host.instances_desired} /> },
  ];
  if (!isShort) {
    columns.push(
      inUse("CPU", (host) => (host.cpus === null ? "" : ` of ${host.cpus}`)),
      inUse("Memory", (host) => (host.memory_bytes === null ? "" : ` of ${bytes(host.memory_bytes)}`)),
      inUse("Disk", () => ""),
    );
  }
  if (!isShort) columns.push({ name: "Generation", isNumber: true, by: (host) => host.generation, cell: (host) => <span title={generationText(host, newest)}>{host.generation}</span> });
  columns.push({ name: "Last seen", isNumber: true, by: (host) => host.last_seen, cell: (host) => (host.liveness === "never" ? "–" : <Ago at={host.last_seen} />) });
  if (actions) columns.push({ name: "Actions", cell: actions });
  return <Table label="Hosts" rows={hosts} id={(host) => host.name} columns={columns} />;
}

/** The state with its reason on hover; a problem is a word of its own. */
function State({ host }: { host: HostView }) {
  const { tone, word, reason } = hostState(host, now.value);
  return <Status tone={tone} word={host.problem && host.liveness === "up" ? `${word}, has a problem` : word} title={reason || undefined} />;
}

/** A column with the share of one resource that is in use, and how much there is. */
function inUse(name: string, size: (host: HostView) => string): Column<HostView> {
  const of = (host: HostView) => (host.liveness === "up" ? meters(host).find((meter) => meter.name === name) : undefined);
  return { name, isNumber: true, by: (host) => of(host)?.share ?? null, cell: (host) => <><Share meter={of(host)} /><span class="soft">{size(host)}</span></> };
}

export function Labels({ labels }: { labels: Record<string, string> }) {
  const pairs = Object.entries(labels);
  return <span class="labels">{pairs.length === 0 ? "–" : pairs.map(([key, value]) => <span key={key} class="label">{key}={value}</span>)}</span>;
}
