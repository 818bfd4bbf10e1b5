// Hosts: who is there and what runs there; drain, take back, and the command to join one.
import { useState } from "preact/hooks";
import { post } from "../api/client";
import type { HostView, InstanceLine, JoinTokenMade } from "../api/types";
import { mayChange } from "../components/actions";
import { Command } from "../components/command";
import { Ask } from "../components/dialog";
import { HostTable } from "../components/host-table";
import { InstanceTable } from "../components/instance-table";
import { Empty, Failure, Loaded } from "../components/notice";
import { ClockTime } from "../components/time";
import { count, shellWord } from "../format";
import { notice, session } from "../live/store";
import { useApi } from "../live/use-api";
import { href, query } from "../router";

export default function Hosts() {
  const hosts = useApi<{ hosts: HostView[] }>("/hosts");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const chosen = query.value.get("host");
  const lines = (instances.data?.instances ?? []).filter((line) => chosen === null || line.host === chosen);
  return (
    <>
      <div class="title"><h1>Hosts</h1>{session.value?.role === "admin" ? <Join /> : null}</div>
      <Loaded of={hosts} rows={6}>
        {(data) => data.hosts.length === 0
          ? <Empty command="wharf host token">No host has joined yet.</Empty>
          : <HostTable hosts={data.hosts} {...(mayChange() ? { actions: (host: HostView) => <Drain host={host} /> } : {})} />}
      </Loaded>
      <section aria-labelledby="containers-title">
        <h2 id="containers-title">
          {chosen === null ? "Containers" : `Containers on ${chosen}`}
          {chosen === null ? null : <> <a class="small" href={href("/hosts")}>show all hosts</a></>}
        </h2>
        <Loaded of={instances}>
          {() => lines.length === 0 ? <Empty>Nothing runs {chosen === null ? "on any host" : `on ${chosen}`}.</Empty> : <InstanceTable instances={lines} />}
        </Loaded>
      </section>
    </>
  );
}

function Drain({ host }: { host: HostView }) {
  const [isAsking, setAsking] = useState(false);
  const verb = host.draining ? "Take back" : "Drain";
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} aria-label={`${verb} ${host.name}`}>{verb}</button>
      {isAsking
        ? (
          <Ask
            title={`${verb} ${host.name}?`} act={`${verb} ${host.name}`} isDangerous={!host.draining}
            command={`wharf host drain ${shellWord(host.name)}${host.draining ? " --undo" : ""}`}
            onAct={async () => {
              await post(`/hosts/${encodeURIComponent(host.name)}/drain`, { draining: !host.draining });
              notice();
            }}
            onClose={() => setAsking(false)}
          >
            <p>
              {host.draining
                ? "It may get containers again, from the next deploy on."
                : `It gets no new containers, and ${host.instances_desired === 0 ? "none runs there now" : `the ${count(host.instances_desired, "container")} there now move to other hosts`}.`}
            </p>
          </Ask>
        )
        : null}
    </>
  );
}

/** Makes a token for one host and shows the command to run there. */
function Join() {
  const [made, setMade] = useState<JoinTokenMade | null>(null);
  const [error, setError] = useState<unknown>(null);
  const make = async () => {
    setError(null);
    try {
      setMade(await post<JoinTokenMade>("/join-tokens", {}));
    } catch (failure) {
      setError(failure);
    }
  };
  if (error) return <Failure error={error} retry={make} />;
  if (!made) return <button type="button" onClick={make}>Show the command to join a host</button>;
  return (
    <span class="same">
      <Command line={made.command} />
      <span class="soft">good for one host, until <ClockTime at={made.expires} /></span>
    </span>
  );
}
