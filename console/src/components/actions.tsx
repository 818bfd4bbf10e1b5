// What can be done to an application: each names what it does and the command that does the same.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { DeployView, Started } from "../api/types";
import { shellWord } from "../format";
import { notice, session } from "../live/store";
import { go, href } from "../router";
import type { Request } from "./command";
import { Ask } from "./dialog";

export const isAdmin = (): boolean => session.value?.role === "admin";

export function mayChange(): boolean {
  return session.value?.role === "deployer" || session.value?.role === "admin";
}

/** Sends what the dialog shows as curl. */
export async function send(request: Request): Promise<void> {
  await call(request.method, request.path, request.body);
  notice();
}

async function start(request: Request): Promise<void> {
  const { deploy } = await call<Started>(request.method, request.path, request.body);
  notice();
  go(href(`/deploys/${deploy}`));
}

interface RollBackProps {
  app: string;
  release: number;
  serves: number | null;
  /** Containers of the release that serves. */
  running: number;
  /** In a table that names the application and the release already. */
  isShort?: boolean;
}

/** Goes back to another release than the one that `serves` now. */
export function RollBack({ app, release, serves, running, isShort }: RollBackProps) {
  const [isAsking, setAsking] = useState(false);
  if (!mayChange()) return null;
  // A release that was left again is newer than the one that serves: going there is no step back.
  const isBack = serves === null || release < serves;
  const request: Request = { method: "POST", path: `/apps/${encodeURIComponent(app)}/rollback`, body: { release } };
  const label = isBack ? `Roll back ${app} to release ${release}` : `Go to release ${release} of ${app}`;
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} aria-label={label}>{isShort ? (isBack ? "Roll back" : "Go to") : label}</button>
      {isAsking
        ? (
          <Ask
            title={`${label}?`} act={isBack ? `Roll back to release ${release}` : `Go to release ${release}`} isDangerous
            command={`wharf rollback ${shellWord(app)} --to ${release}`}
            request={request} onAct={() => start(request)}
            onClose={() => setAsking(false)}
          >
            <p>
              Release {release} is started beside {serves === null ? "what runs" : `release ${serves}`}
              {running > 0 ? ` (${running} ${running === 1 ? "container runs" : "containers run"} it)` : ""}, must be healthy, and then gets
              the requests. Requests in flight finish where they are.
            </p>
          </Ask>
        )
        : null}
    </>
  );
}

/** Changes the number of replicas of one service. */
export function Scale({ app, service, replicas }: { app: string; service: string; replicas: number }) {
  const [isAsking, setAsking] = useState(false);
  const [wanted, setWanted] = useState(replicas);
  const request: Request = { method: "POST", path: `/apps/${encodeURIComponent(app)}/scale`, body: { services: { [service]: wanted } } };
  if (!mayChange()) return null;
  return (
    <>
      <button type="button" onClick={() => { setWanted(replicas); setAsking(true); }} aria-label={`Scale ${service}`}>Scale</button>
      {isAsking
        ? (
          <Ask
            title={`Scale ${service} of ${app}`} act={`Run ${wanted} of ${service}`}
            command={`wharf scale --app ${shellWord(app)} ${shellWord(service)}=${wanted}`}
            request={request} onAct={() => start(request)}
            onClose={() => setAsking(false)}
          >
            <p>
              <label for="replicas">Replicas</label>{" "}
              <input
                id="replicas" type="number" min={0} max={1_000} required value={wanted}
                onInput={(event) => setWanted(event.currentTarget.valueAsNumber || 0)}
              />{" "}
              <span class="soft">now {replicas}</span>
            </p>
            {wanted === 0 ? <p class="status warn">Nobody answers the requests to {service} then.</p> : null}
          </Ask>
        )
        : null}
    </>
  );
}

/** Replaces the containers of one service by equal ones, one after the other. */
export function Restart({ app, service, replicas }: { app: string; service: string; replicas: number }) {
  const [isAsking, setAsking] = useState(false);
  const request: Request = { method: "POST", path: `/apps/${encodeURIComponent(app)}/restart`, body: { services: [service] } };
  if (!mayChange() || replicas === 0) return null;
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} aria-label={`Restart ${service}`}>Restart</button>
      {isAsking
        ? (
          <Ask
            title={`Restart ${service} of ${app}?`} act={`Restart ${service}`}
            command={`wharf restart ${shellWord(service)} --app ${shellWord(app)}`}
            request={request} onAct={() => start(request)}
            onClose={() => setAsking(false)}
          >
            <p>
              {replicas === 1 ? "Its container is" : `Its ${replicas} containers are`} replaced by {replicas === 1 ? "an equal one" : "equal ones, one after the other"}:
              the new one starts beside the old and takes over once it is healthy. What can't run twice is stopped first.
            </p>
          </Ask>
        )
        : null}
    </>
  );
}

/** Ends a deploy that runs. */
export function Abort({ deploy, serves }: { deploy: DeployView; serves: number | null }) {
  const request: Request = { method: "POST", path: `/deploys/${deploy.id}/abort`, body: {} };
  const [isAsking, setAsking] = useState(false);
  if (!mayChange()) return null;
  return (
    <>
      <button type="button" onClick={() => setAsking(true)}>Abort this deploy</button>
      {isAsking
        ? (
          <Ask
            title={`Abort deploy ${deploy.id} of ${deploy.app}?`} act={`Abort deploy ${deploy.id}`} isDangerous
            command={`wharf deploy abort ${deploy.id}`}
            request={request} onAct={() => send(request)}
            onClose={() => setAsking(false)}
          >
            <p>What it has started is stopped again. {serves === null ? "What served before" : `Release ${serves}`} serves on.</p>
          </Ask>
        )
        : null}
    </>
  );
}
