// Overview: what is wrong now, the applications and hosts, the traffic by release, and what happened.
import type { AppView, DeployView, HostView, InstanceLine } from "../api/types";
import { AppTable } from "../components/app-table";
import { Feed } from "../components/feed";
import { HostTable } from "../components/host-table";
import { Empty, Failure, Loaded } from "../components/notice";
import { Icon } from "../components/icon";
import { TrafficCharts } from "../components/traffic-charts";
import { count } from "../format";
import { scope } from "../live/scope";
import { events, history, historyVersion, isTrafficLive, now } from "../live/store";
import { type Resource, useApi } from "../live/use-api";
import { href } from "../router";
import { problems } from "../words/problems";
import { isInScope } from "../words/scope";

export default function Overview() {
  const apps = useApi<{ apps: AppView[] }>("/apps");
  const hosts = useApi<{ hosts: HostView[] }>("/hosts");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const deploys = useApi<{ deploys: DeployView[] }>("/deploys?limit=50");
  return (
    <>
      <h1 class="visually-hidden">Overview</h1>
      <Wrong hosts={hosts} instances={instances} deploys={deploys} />
      <TrafficCharts which={["requests", "latency"]} app={scope.value.app} />
      {isTrafficLive.value ? null : <p class="soft" role="status">Waiting for the balancer's figures.</p>}
      <div class="columns">
        <div class="stacked">
          <section aria-labelledby="apps-title">
            <h2 id="apps-title"><a href={href("/apps")}>Applications</a></h2>
            <Loaded of={apps}>{(data) => <AppTable apps={data.apps} />}</Loaded>
          </section>
          <section aria-labelledby="hosts-title">
            <h2 id="hosts-title"><a href={href("/hosts")}>Hosts</a></h2>
            <Loaded of={hosts}>
              {(data) => data.hosts.length === 0
                ? <Empty command="wharf host token">No host has joined yet.</Empty>
                : <HostTable hosts={data.hosts.filter((host) => isInScope(scope.value, { host: host.name }))} isShort />}
            </Loaded>
          </section>
        </div>
        <section aria-labelledby="feed-title">
          <h2 id="feed-title"><a href={href("/activity")}>Activity</a></h2>
          <Feed records={events.value} scope={scope.value} limit={14} />
        </section>
      </div>
    </>
  );
}

interface WrongProps {
  hosts: Resource<{ hosts: HostView[] }>;
  instances: Resource<{ instances: InstanceLine[] }>;
  deploys: Resource<{ deploys: DeployView[] }>;
}

/** LIMIT: lines of what is wrong; the rest is a number. */
const SHOWN_MAX = 6;

function Wrong({ hosts, instances, deploys }: WrongProps) {
  void historyVersion.value;
  const error = hosts.error ?? instances.error ?? deploys.error;
  if (error) return <Failure error={error} retry={() => { hosts.refresh(); instances.refresh(); deploys.refresh(); }} />;
  const found = problems({
    hosts: hosts.data?.hosts ?? [],
    instances: instances.data?.instances ?? [],
    deploys: deploys.data?.deploys ?? [],
    history,
    events: events.value,
    now: now.value,
  });
  const isKnown = hosts.data !== undefined && instances.data !== undefined;
  return (
    <section class="wrong" aria-label="What is wrong now" aria-live="polite">
      {found.length === 0
        ? <p class="line"><span class={`status ${isKnown ? "ok" : "calm"}`}><Icon name={isKnown ? "ok" : "calm"} />{isKnown ? "All is well" : "Asking"}</span></p>
        : null}
      {found.slice(0, SHOWN_MAX).map((problem) => (
        <p key={problem.text} class="line">
          <span class={`status ${problem.tone}`}>
            <Icon name={problem.tone} />
            {problem.href ? <a href={href(problem.href)}>{problem.text}</a> : problem.text}
          </span>
          <span class="soft">{problem.detail}</span>
        </p>
      ))}
      {found.length > SHOWN_MAX ? <p class="soft">and {count(found.length - SHOWN_MAX, "more line")}</p> : null}
    </section>
  );
}
