// One deploy: its steps as they happen, the old and the new release side by side, build output, and how it ended.
import { useEffect, useState } from "preact/hooks";
import { openStream } from "../api/stream";
import type { DeployStep, DeployView, InstanceLine } from "../api/types";
import { Abort, RollBack } from "../components/actions";
import { Command } from "../components/command";
import { Status } from "../components/icon";
import { Loaded } from "../components/notice";
import { Ago, ClockTime } from "../components/time";
import { TrafficCharts } from "../components/traffic-charts";
import { duration, percent, rate, shellWord } from "../format";
import { recent, seriesKey } from "../live/history";
import { addOutput, addStep, outputLines } from "../live/steps";
import { history, historyVersion, now } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { what } from "../words/events";
import { previousRelease, stateOf, verdict } from "../words/verdict";

export default function Deploy({ id }: { id: string }) {
  const record = useApi<DeployView>(`/deploys/${encodeURIComponent(id)}`);
  return (
    <Loaded of={record} rows={8}>
      {(deploy) => <Shown deploy={deploy} refresh={record.refresh} />}
    </Loaded>
  );
}

function Shown({ deploy: stored, refresh }: { deploy: DeployView; refresh: () => void }) {
  const { deploy, output } = useLive(stored, refresh);
  const others = useApi<{ deploys: DeployView[] }>("/deploys?limit=200");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const previous = previousRelease(deploy, others.data?.deploys ?? []);
  void historyVersion.value;
  const next = recent(history.series.get(seriesKey(deploy.app, deploy.release)), COMPARED_SECONDS);
  const judged = verdict(deploy, next, previous);
  const newest = Math.max(deploy.id, ...(others.data?.deploys ?? []).filter((other) => other.app === deploy.app).map((other) => other.id));
  const mayRollBack = deploy.state === "succeeded" && previous !== null && newest === deploy.id;
  const running = (instances.data?.instances ?? []).filter((line) => line.app === deploy.app && line.release === deploy.release).length;
  return (
    <article>
      <div class="title">
        <h1>{capital(what(deploy.what, deploy.app, deploy.release))}</h1>
        <Status {...stateOf(deploy)} />
        {deploy.state === "running" ? <Abort deploy={deploy} serves={previous} /> : null}
        {mayRollBack ? <RollBack app={deploy.app} release={previous} serves={deploy.release} running={running} /> : null}
      </div>
      <p class="soft">
        Deploy {deploy.id} of <a href={href(`/apps/${encodeURIComponent(deploy.app)}`)}>{deploy.app}</a>, by {deploy.by}, <Ago at={deploy.started} /> at <ClockTime at={deploy.started} />
        , {deploy.ended === null ? "for" : "took"} {duration((deploy.ended ?? now.value) - deploy.started)}
      </p>
      <p class={`verdict ${judged.tone}`} id="verdict" aria-live="polite">{judged.text}</p>
      <div class="columns">
        <section aria-labelledby="steps-title">
          <h2 id="steps-title">Steps</h2>
          <Steps deploy={deploy} />
        </section>
        <section aria-labelledby="compare-title">
          <h2 id="compare-title">Releases side by side</h2>
          <Compare app={deploy.app} previous={previous} next={deploy.release} />
        </section>
      </div>
      <TrafficCharts which={["requests", "latency", "errors", "median"]} app={deploy.app} releases={previous === null ? [deploy.release] : [previous, deploy.release]} />
      {deploy.log_tail.length > 0
        ? (
          <section aria-labelledby="tail-title">
            <h2 id="tail-title">Last lines of the container</h2>
            <pre tabIndex={0} class="log">{deploy.log_tail.join("\n")}</pre>
          </section>
        )
        : null}
      <section aria-labelledby="output-title">
        <h2 id="output-title">Build output</h2>
        {output.length > 0
          ? <Output lines={output} isLive={deploy.state === "running"} />
          : <p class="soft">{deploy.state === "running" ? "Nothing yet." : "None is kept for this deploy."}</p>}
      </section>
      <section aria-labelledby="cli-title">
        <h2 id="cli-title">The same as commands</h2>
        <p class="commands">
          <Command line={`wharf deploy ls ${shellWord(deploy.app)}`} />
          {previous === null ? null : <Command line={`wharf rollback ${shellWord(deploy.app)} --to ${previous}`} />}
          <Command line={`curl -H "Authorization: Bearer $WHARF_TOKEN" ${location.origin}/api/v1/deploys/${deploy.id}`} />
        </p>
      </section>
    </article>
  );
}

/** The stored record, with what the stream adds. */
function useLive(stored: DeployView, refresh: () => void): { deploy: DeployView; output: string[] } {
  const [steps, setSteps] = useState<DeployStep[]>([]);
  const [output, setOutput] = useState<string[]>([]);
  const isRunning = stored.state === "running";
  useEffect(() => {
    setSteps([]);
    setOutput([]);
    // Lines come by the hundred: they are shown ten times a second.
    let waiting: string[] = [];
    const flush = () => {
      if (waiting.length === 0) return;
      const lines = waiting;
      waiting = [];
      setOutput((before) => addOutput(before, lines));
    };
    const timer = setInterval(flush, 100);
    // Ids count up from 0. A stream that was opened anew tells the whole story again: what was heard is left out.
    let heard = -1;
    const close = openStream(`/deploys/${stored.id}/stream`, {
      onEvent: (name, data, id) => {
        if (id !== "" && Number(id) <= heard) return;
        if (id !== "") heard = Number(id);
        if (name === "step") setSteps((before) => addStep(before, data as DeployStep));
        else if (name === "output") waiting.push(...outputLines(data));
        else if (name === "end") {
          flush();
          refresh();
        }
      },
    }, { names: ["step", "output", "end"], last: "end" });
    return () => {
      clearInterval(timer);
      close();
    };
  }, [stored.id, refresh]);
  const merged = isRunning ? steps.reduce(addStep, stored.steps) : stored.steps;
  return { deploy: { ...stored, steps: merged }, output };
}

function Steps({ deploy }: { deploy: DeployView }) {
  if (deploy.steps.length === 0) return <p class="soft">No step has begun.</p>;
  const hasFailed = deploy.state === "failed" || deploy.state === "aborted";
  return (
    <ol class="steps">
      {deploy.steps.map((step, index) => {
        const isLast = index === deploy.steps.length - 1;
        const tone = hasFailed && isLast ? "bad" : step.ended ? "ok" : "info";
        const word = hasFailed && isLast ? "failed" : step.ended ? "done" : "running";
        return (
          <li key={index} aria-current={word === "running" ? "step" : undefined}>
            <Status tone={tone} word={word} />
            <span class="step-name">{step.step}</span>
            <span class="soft step-detail">{step.detail}</span>
            <span class="number">{step.ended ? duration(step.millis) : ""}</span>
          </li>
        );
      })}
    </ol>
  );
}

/** Short, so that a switch shows at once; long enough to read. */
const COMPARED_SECONDS = 3;

function Compare({ app, previous, next }: { app: string; previous: number | null; next: number }) {
  void historyVersion.value;
  const releases = previous === null ? [next] : [previous, next];
  const series = releases.map((release) => history.series.get(seriesKey(app, release)));
  const samples = series.map((one) => recent(one, COMPARED_SECONDS));
  const rows: [string, (index: number) => string][] = [
    ["Gets requests", (index) => (series[index]?.isActive ? "yes" : "no")],
    ["Requests/s", (index) => rate(samples[index]?.rate ?? null)],
    ["Errors", (index) => { const sample = samples[index]; return sample ? percent(sample.errors, sample.rate) : "–"; }],
    ["p50", (index) => duration(samples[index]?.p50)],
    ["p99", (index) => duration(samples[index]?.p99)],
    ["In flight", (index) => samples[index]?.inFlight.toString() ?? "–"],
  ];
  return (
    <div class="table" tabIndex={0} role="group" aria-label={`Releases side by side, over the last ${COMPARED_SECONDS} s`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Over {COMPARED_SECONDS} s</th>
            {releases.map((release) => <th key={release} scope="col" class="number">Release {release}{release === next ? " (new)" : " (old)"}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {releases.map((release, index) => <td key={release} class="number">{value(index)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Stays at the end while lines come, unless the reader has scrolled up. */
function Output({ lines, isLive }: { lines: readonly string[]; isLive: boolean }) {
  const [element, setElement] = useState<HTMLPreElement | null>(null);
  useEffect(() => {
    if (!element || !isLive) return;
    const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (distance < 200) element.scrollTop = element.scrollHeight;
  }, [element, lines, isLive]);
  return <pre ref={setElement} tabIndex={0} class="log" aria-label="Build output">{lines.join("\n")}</pre>;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

