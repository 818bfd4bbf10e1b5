// The top bar: search, the scope and the time range. Scope and range hold for everything on the page and are in the URL.
import type { AppView, HostView } from "../api/types";
import { clock, utc } from "../format";
import { RANGES, type RangeName, range, rangeName, setRange } from "../live/range";
import { scope } from "../live/scope";
import { useApi } from "../live/use-api";
import { setQuery } from "../router";
import { Search } from "./search";

export function TopBar() {
  return (
    <div class="top-bar">
      <Search />
      <Scope />
      <RangeChoice />
    </div>
  );
}

function Scope() {
  const apps = useApi<{ apps: AppView[] }>("/apps");
  const hosts = useApi<{ hosts: HostView[] }>("/hosts");
  const { app, service, host } = scope.value;
  const all = apps.data?.apps ?? [];
  const services = all.find((one) => one.name === app)?.services ?? [];
  return (
    <span class="field" role="group" aria-label="Scope">
      <span>Scope</span>
      <Choice name="app" label="Application" every="All applications" chosen={app} names={all.map((one) => one.name)} />
      {app === undefined ? null : <Choice name="service" label="Service" every="All services" chosen={service} names={services.map((one) => one.name)} />}
      <Choice name="host" label="Host" every="All hosts" chosen={host} names={(hosts.data?.hosts ?? []).map((one) => one.name)} />
    </span>
  );
}

interface ChoiceProps {
  /** Parameter of the URL. */
  name: string;
  label: string;
  every: string;
  chosen: string | undefined;
  names: string[];
}

/** What is chosen stays in the list even if it is gone: a link to it says so. */
function Choice({ name, label, every, chosen, names }: ChoiceProps) {
  const shown = [...new Set(chosen === undefined ? names : [...names, chosen])].sort();
  const choose = (value: string) => setQuery(name === "app" ? { app: value, service: null } : { [name]: value });
  return (
    <select aria-label={label} value={chosen ?? ""} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="">{every}</option>
      {shown.map((one) => <option key={one} value={one}>{one}</option>)}
    </select>
  );
}

function RangeChoice() {
  const { from, to, isLive } = range.value;
  if (!isLive) {
    return (
      <span class="field" title={`${utc(from * 1000)} to ${utc(to * 1000)}`}>
        <span>Time</span>
        <span class="absolute">{clock(from * 1000)} – {clock(to * 1000)}</span>
        <button type="button" onClick={() => setRange(rangeName.value)}>Back to now</button>
      </span>
    );
  }
  return (
    <label class="field">
      <span>Time</span>
      <select value={rangeName.value} onChange={(event) => setRange(event.currentTarget.value as RangeName)}>
        {(Object.keys(RANGES) as RangeName[]).map((name) => <option key={name} value={name}>Last {name.replace("m", " min").replace("h", " h")}</option>)}
      </select>
    </label>
  );
}
