// Tokens and roles: who may do what. The text of a new token is shown once; only its hash is kept.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Role, TokenMade, TokenView } from "../api/types";
import { isAdmin, send } from "../components/actions";
import { Command, type Request, Same } from "../components/command";
import { Ask } from "../components/dialog";
import { Status } from "../components/icon";
import { Empty, Failure, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { count, shellWord } from "../format";
import { notice, now, session } from "../live/store";
import { useApi } from "../live/use-api";
import { href } from "../router";
import { ROLES, ROLE_WORDS, nameProblem } from "../words/roles";

export default function Tokens() {
  return (
    <>
      <div class="title">
        <h1>Tokens and roles</h1>
        <span class="soft">you are {session.value?.name}, {session.value?.role}</span>
      </div>
      {isAdmin()
        ? <List />
        : <Empty command="cat wharf-data/token">Tokens are for admins: your role, {session.value?.role}, neither sees nor changes them. The first admin's token is in a file on the server's machine.</Empty>}
      <section aria-labelledby="roles-title">
        <h2 id="roles-title">Roles</h2>
        <dl class="facts roles">{ROLES.map((role) => <div key={role}><dt>{role}</dt><dd>{ROLE_WORDS[role]}</dd></div>)}</dl>
      </section>
    </>
  );
}

function List() {
  const tokens = useApi<{ tokens: TokenView[] }>("/tokens");
  return (
    <Loaded of={tokens} rows={4}>
      {(data) => (
        <>
          <Create taken={data.tokens.map((token) => token.name)} />
          <section aria-labelledby="tokens-title">
            <h2 id="tokens-title">Tokens <span class="soft small">{count(data.tokens.length, "token")}</span></h2>
            <Table
              label="Tokens"
              rows={data.tokens}
              id={(token) => token.id}
              columns={[
                {
                  name: "Name", by: (token) => token.name,
                  cell: (token) => <><a href={href(`/activity?who=${encodeURIComponent(token.name)}`)}>{token.name}</a>{token.name === session.value?.name ? <span class="soft"> (you)</span> : null}</>,
                },
                { name: "Role", by: (token) => ROLES.indexOf(token.role), cell: (token) => <span title={ROLE_WORDS[token.role]}>{token.role}</span> },
                { name: "Begins with", cell: (token) => <span class="mono">wharf_{token.id}_…</span> },
                { name: "Created", isNumber: true, by: (token) => token.created, cell: (token) => <Ago at={token.created} /> },
                { name: "Last used", isNumber: true, by: (token) => token.last_used, cell: (token) => (token.last_used === null ? "never" : <Ago at={token.last_used} />) },
                { name: "Expires", isNumber: true, by: (token) => token.expires ?? null, cell: (token) => <Expiry token={token} /> },
                { name: "Actions", cell: (token) => <Remove token={token} isLastAdmin={staysAdmin(token) && data.tokens.filter(staysAdmin).length === 1} /> },
              ]}
            />
            <p class="soft small">A token is valid until it expires or is removed. Times of use are written once a minute.</p>
            <Same request={{ method: "GET", path: "/tokens" }} />
          </section>
        </>
      )}
    </Loaded>
  );
}

/** Whether it is an admin's for good: one of these stays. */
const staysAdmin = (token: TokenView): boolean => token.role === "admin" && (token.expires ?? null) === null;

function Expiry({ token }: { token: TokenView }) {
  const at = token.expires ?? null;
  if (at === null) return <span class="soft">never</span>;
  if (at <= now.value) return <Status tone="warn" word="expired" title={new Date(at).toISOString()} />;
  return <Ago at={at} />;
}

/** Choices for a new token: what the server takes, in words. */
const LIVES: readonly [ttl: string, words: string][] = [["", "never"], ["24h", "in a day"], ["168h", "in a week"], ["720h", "in 30 days"], ["8760h", "in a year"]];

function Create({ taken }: { taken: readonly string[] }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("deployer");
  const [ttl, setTtl] = useState("");
  const [made, setMade] = useState<TokenMade | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const problem = nameProblem(name, taken);
  const request: Request = { method: "POST", path: "/tokens", body: { name: name || "NAME", role, ...(ttl === "" ? {} : { ttl }) } };
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setMade(await call<TokenMade>(request.method, request.path, request.body));
      setName("");
      notice();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  if (made) return <Made made={made} onClose={() => setMade(null)} />;
  return (
    <section aria-labelledby="create-title">
      <h2 id="create-title">New token</h2>
      <form class="filters" onSubmit={submit}>
        <label class="field">
          <span>Name</span>
          <input
            type="text" required maxLength={63} autocomplete="off" spellcheck={false} placeholder="ci, or a person" value={name}
            aria-invalid={problem !== ""} aria-describedby="name-problem" onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>Role</span>
          <select value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>
            {ROLES.map((one) => <option key={one} value={one}>{one}</option>)}
          </select>
        </label>
        <label class="field">
          <span>Expires</span>
          <select value={ttl} onChange={(event) => setTtl(event.currentTarget.value)}>
            {LIVES.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
          </select>
        </label>
        <button type="submit" class="primary" disabled={isBusy || problem !== ""}>Make the token</button>
        <span class="soft" id="name-problem" role="status">{problem || `${role}: ${ROLE_WORDS[role]}`}</span>
      </form>
      {error ? <Failure error={error} /> : null}
      <Same request={request} />
    </section>
  );
}

function Made({ made, onClose }: { made: TokenMade; onClose: () => void }) {
  return (
    <section aria-labelledby="made-title" class="told">
      <h2 id="made-title">The token {made.name}, {made.role}</h2>
      <p>Copy it now: only its hash is kept, and it is not shown again.</p>
      <Command line={made.token} />
      <p class="soft">Where it is used:</p>
      <Command line={`wharf login ${shellWord(location.origin)} --token ${made.token}`} />
      <p><button type="button" onClick={onClose}>I have it</button></p>
    </section>
  );
}

function Remove({ token, isLastAdmin }: { token: TokenView; isLastAdmin: boolean }) {
  const [isAsking, setAsking] = useState(false);
  if (isLastAdmin) return <span class="soft" title="Make another admin token first">the last admin stays</span>;
  const request: Request = { method: "DELETE", path: `/tokens/${token.id}` };
  const isOwn = token.name === session.value?.name;
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} aria-label={`Remove the token ${token.name}`}>Remove</button>
      {isAsking
        ? (
          <Ask title={`Remove the token ${token.name}?`} act={`Remove ${token.name}`} isDangerous request={request} onAct={() => send(request)} onClose={() => setAsking(false)}>
            <p>
              Whoever uses it, with role {token.role}, is refused from then on, and sessions of the console that were opened with it end
              {isOwn ? ": yours too" : ""}. {token.last_used === null ? "It was never used." : <>It was last used <Ago at={token.last_used} />.</>}
            </p>
          </Ask>
        )
        : null}
    </>
  );
}
