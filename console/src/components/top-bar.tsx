// The top bar: search, the scope and the time range. Scope and range hold for everything on the page and are in the URL.
import type { AppView } from "../api/types";
import { clock, utc } from "../format";
import { RANGES, type RangeName, range, rangeName, setRange } from "../live/range";
import { scope } from "../live/store";
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
  const names = (apps.data?.apps ?? []).map((app) => app.name).sort();
  const chosen = scope.value;
  if (chosen !== undefined && !names.includes(chosen)) names.push(chosen);
  return (
    <label class="field">
      <span>Scope</span>
      <select value={chosen ?? ""} onChange={(event) => setQuery({ app: event.currentTarget.value })}>
        <option value="">All applications</option>
        {names.map((name) => <option key={name} value={name}>{name}</option>)}
      </select>
    </label>
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
