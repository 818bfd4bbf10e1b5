// What can be done to a host: drain it, take it back, remove it, let one join. Each says what will happen.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { HostView, JoinTokenMade } from "../api/types";
import { count, shellWord } from "../format";
import { go, href } from "../router";
import { drainText, removalText } from "../words/hosts";
import { isAdmin, mayChange, send } from "./actions";
import { Command, type Request, Same } from "./command";
import { Ask } from "./dialog";
import { Failure } from "./notice";
import { ClockTime } from "./time";

export function Drain({ host, all }: { host: HostView; all: readonly HostView[] }) {
  const [isAsking, setAsking] = useState(false);
  if (!mayChange()) return null;
  const verb = host.draining ? "Take back" : "Drain";
  const request: Request = { method: "POST", path: `/hosts/${encodeURIComponent(host.name)}/drain`, body: { draining: !host.draining } };
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} aria-label={`${verb} ${host.name}`}>{verb}</button>
      {isAsking
        ? (
          <Ask
            title={`${verb} ${host.name}?`} act={`${verb} ${host.name}`} isDangerous={!host.draining}
            command={`wharf host drain ${shellWord(host.name)}${host.draining ? " --undo" : ""}`} request={request}
            onAct={() => send(request)} onClose={() => setAsking(false)}
          >
            <p>
              {host.draining
                ? "It may get containers again, from the next deploy on."
                : drainText(host, all)}
            </p>
          </Ask>
        )
        : null}
    </>
  );
}

/** The server's own host can't be removed: it has no address of its own. */
export const isOwn = (host: HostView): boolean => host.address === null;

export function Remove({ host }: { host: HostView }) {
  const [isAsking, setAsking] = useState(false);
  const [isSure, setSure] = useState(false);
  if (!isAdmin() || isOwn(host)) return null;
  const isUsed = host.instances_desired > 0;
  const request: Request = { method: "DELETE", path: `/hosts/${encodeURIComponent(host.name)}${isUsed ? "?force=true" : ""}` };
  return (
    <>
      <button type="button" onClick={() => { setSure(false); setAsking(true); }}>Remove this host</button>
      {isAsking
        ? (
          <Ask
            title={`Remove host ${host.name}?`} act={`Remove ${host.name}`} isDangerous isReady={!isUsed || isSure}
            command={`wharf host rm ${shellWord(host.name)}${isUsed ? " --force" : ""}`} request={request}
            onAct={async () => {
              await send(request);
              go(href("/hosts"));
            }}
            onClose={() => setAsking(false)}
          >
            <ul class="points">{removalText(host).map((line) => <li key={line}>{line}</li>)}</ul>
            {isUsed
              ? (
                <label class="check">
                  <input type="checkbox" checked={isSure} onChange={(event) => setSure(event.currentTarget.checked)} />
                  Take {count(host.instances_desired, "container")} out of the desired state
                </label>
              )
              : null}
          </Ask>
        )
        : null}
    </>
  );
}

/** Makes a token and shows, once, the command to run on the machine; `host` makes it good for a host of that name only. */
export function Join({ host }: { host?: string }) {
  const [made, setMade] = useState<JoinTokenMade | null>(null);
  const [error, setError] = useState<unknown>(null);
  if (!isAdmin()) return null;
  const request: Request = { method: "POST", path: "/join-tokens", body: host === undefined ? {} : { host } };
  const make = async () => {
    setError(null);
    try {
      setMade(await call<JoinTokenMade>(request.method, request.path, request.body));
    } catch (failure) {
      setError(failure);
    }
  };
  const own = `wharf host token${host === undefined ? "" : ` --host ${shellWord(host)}`}`;
  if (error) return <Failure error={error} retry={make} />;
  if (!made) return <button type="button" onClick={make}>{host === undefined ? "Show the command to join a host" : "New join token"}</button>;
  return (
    <div class="told">
      <p>{host === undefined ? "On the machine that is to join:" : `On the machine that is to be ${host} from now on:`}</p>
      <Command line={host === undefined ? made.command : made.command.replace(/--name NAME\b/, `--name ${shellWord(host)}`)} />
      <p class="soft">
        Good for one host, until <ClockTime at={made.expires} />; it is shown only now.
        {host === undefined ? "" : " The machine that has the name now is refused once another has joined with it."}
      </p>
      {made.command.includes("http://") ? <p class="status warn">Other machines join over https: this server listens on loopback only. <code>wharf host token</code> says what to open.</p> : null}
      <Same command={own} request={request} />
    </div>
  );
}
