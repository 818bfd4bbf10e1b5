// Hosts: who is there, how full, and what runs there; the command to join one.
import type { HostView, InstanceLine } from "../api/types";
import { mayChange } from "../components/actions";
import { Drain, Join } from "../components/host-actions";
import { HostTable } from "../components/host-table";
import { InstanceTable } from "../components/instance-table";
import { Empty, Loaded } from "../components/notice";
import { scope } from "../live/scope";
import { useApi } from "../live/use-api";
import { isInScope, scopeText } from "../words/scope";

export default function Hosts() {
  const hosts = useApi<{ hosts: HostView[] }>("/hosts");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const lines = (instances.data?.instances ?? []).filter((line) => isInScope(scope.value, line));
  const where = scopeText(scope.value);
  return (
    <>
      <div class="title"><h1>Hosts</h1><Join /></div>
      <Loaded of={hosts} rows={6}>
        {(data) => {
          const shown = data.hosts.filter((host) => isInScope(scope.value, { host: host.name }));
          if (data.hosts.length === 0) return <Empty command="wharf host token">No host has joined yet.</Empty>;
          if (shown.length === 0) return <Empty command="wharf host ls">There is no host {scope.value.host}.</Empty>;
          return <HostTable hosts={shown} {...(mayChange() ? { actions: (host: HostView) => <Drain host={host} all={data.hosts} /> } : {})} />;
        }}
      </Loaded>
      <section aria-labelledby="containers-title">
        <h2 id="containers-title">Containers {where === "" ? null : <span class="soft small">{where}</span>}</h2>
        <Loaded of={instances}>
          {() => lines.length === 0
            ? <Empty command="wharf deploy DIR">{where === "" ? "Nothing runs on any host." : `No container here: ${where}.`}</Empty>
            : <InstanceTable instances={lines} />}
        </Loaded>
      </section>
    </>
  );
}
