// Development only: plays answers of the recorded shape, so that the pages can be worked on without a server. It stands for
// no test of the product: the journeys in e2e/ run against the real binary.
//
// State lives in dev/world.ts; here is HTTP. `wharf_fixture` logs in as admin, `viewer` and `deployer` as that role.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import type { EventRecord } from "../src/api/types.ts";
import { topicOf } from "../src/words/audit.ts";
import { hostOf, whoOf } from "../src/words/events.ts";
import { World } from "./world.ts";

type Next = () => void;

export function fixture(): Plugin {
  const world = new World();
  const middleware = (request: IncomingMessage, response: ServerResponse, next: Next) => {
    if (request.url?.startsWith("/api/")) void answer(world, request, response);
    else next();
  };
  return {
    name: "wharf-fixture",
    configureServer: (server) => {
      server.middlewares.use(middleware);
    },
    configurePreviewServer: (server) => {
      server.middlewares.use((request, response, next) => {
        response.setHeader("content-security-policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
        middleware(request, response, next);
      });
    },
  };
}

async function answer(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://fixture");
  const path = url.pathname.replace("/api/v1", "");
  const line = `${request.method} ${path}`;
  const json = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const refuse = (status: number, code: string, message: string, hint?: string) => json(status, { error: { code, message, hint } });
  const done = (cookie?: string) => {
    if (cookie) response.setHeader("set-cookie", cookie);
    response.writeHead(204).end();
  };

  if (line === "POST /session") {
    const { token } = await body<{ token: string }>(request);
    if (!/^wharf_fixture$|^viewer$|^deployer$/.test(token)) {
      return refuse(401, "unauthenticated", "this token is not valid", "the first one is in the file `token` under the server's --data");
    }
    const role = token === "viewer" || token === "deployer" ? token : "admin";
    response.setHeader("set-cookie", `wharf_session=${role}; Path=/; HttpOnly; SameSite=Strict`);
    return json(200, { name: role, role });
  }
  const role = /wharf_session=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
  if (!role) return refuse(401, "unauthenticated", "no token was given");
  if (line === "GET /session") return json(200, { name: role, role });
  if (line === "DELETE /session") return done("wharf_session=; Path=/; Max-Age=0");

  if (request.method === "GET") {
    if (path === "/hosts") return json(200, { hosts: world.hosts() });
    if (path === "/instances") return json(200, { instances: world.instances() });
    if (path === "/apps") return json(200, { apps: world.apps() });
    if (path === "/deploys") return json(200, { deploys: world.deploys().slice(0, Number(url.searchParams.get("limit") ?? 50)) });
    if (path === "/routes") return json(200, world.routes());
    if (path === "/traffic") return json(200, world.traffic());
    if (path === "/registry/repositories") return json(200, world.repositories());
    if (/^\/registry\/repositories\/.+\/tags$/.test(path)) return json(200, world.tags());
    if (path === "/events") {
      const limit = Number(url.searchParams.get("limit") ?? 200);
      const before = Number(url.searchParams.get("before") ?? Number.MAX_SAFE_INTEGER);
      const found = world.events.filter((record) => record.id < before && takes(url, record));
      return json(200, { events: found.slice(-limit), older: found.length > limit ? found.at(-limit)?.id : null });
    }
    if (path === "/orphans") {
      return json(200, { orphans: [{ host: "lab2", kind: "network", name: "shop_old", id: "4f0c1d", app: "shop", owner: "this_agent", detail: "no container" }] });
    }
    if (path === "/generations") return json(200, { generations: [{ number: 14, created: Date.now(), author: "admin", reason: "deploy shop release 2" }] });
    if (path === "/tokens") {
      if (role !== "admin") return refuse(403, "permission_denied", `role ${role} may not do this`, "use a token with role admin");
      return json(200, { tokens: world.tokens });
    }
    const diff = /^\/apps\/([^/]+)\/releases\/(\d+)\/diff\/(\d+)$/.exec(path);
    if (diff) return json(200, world.diff(diff[1] ?? "", Number(diff[2]), Number(diff[3])));
    if (path === "/events/stream") {
      return stream(request, response, (send) => world.onEvent((record) => {
        if (takes(url, record)) send(undefined, record, record.id);
      }));
    }
    if (path === "/traffic/stream") return stream(request, response, (send) => world.everySecond(() => send("traffic", world.traffic())));
    const log = /^\/apps\/([^/]+)\/services\/([^/]+)\/logs$/.exec(path);
    if (log) return stream(request, response, (send) => world.onLog(log[1] ?? "", log[2] ?? "", (line) => send("line", line)));
    const app = /^\/apps\/([^/]+)(\/releases)?$/.exec(path);
    if (app) {
      const found = world.apps().find((one) => one.name === app[1]);
      if (!found) return refuse(404, "not_found", `there is no application \`${app[1]}\``, "see `wharf ps`");
      return json(200, app[2] ? { releases: world.releases(found.name) } : found);
    }
    const deploy = /^\/deploys\/(\d+)(\/stream)?$/.exec(path);
    if (deploy) {
      const id = Number(deploy[1]);
      const found = world.deploys().find((one) => one.id === id);
      if (!found) return refuse(404, "not_found", `there is no deploy ${id}`);
      if (!deploy[2]) return json(200, found);
      return stream(request, response, (send) => world.onDeploy(id, send));
    }
  }
  if (request.method === "POST") {
    if (role === "viewer") return refuse(403, "permission_denied", "role viewer may not do this", "use a token with role deployer");
    const act = /^\/apps\/([^/]+)\/(scale|rollback|restart)$/.exec(path);
    if (act) return json(202, { deploy: world.start(act[1] ?? "", act[2] ?? "", await body(request)), release: 2 });
    const drain = /^\/hosts\/([^/]+)\/drain$/.exec(path);
    if (drain) {
      world.drain(drain[1] ?? "", (await body<{ draining: boolean }>(request)).draining, role);
      return done();
    }
    if (path === "/tokens") return json(201, world.makeToken(await body(request), role));
    if (path === "/join-tokens") {
      return json(200, { token: "example", expires: Date.now() + 3_600_000, command: "wharf join https://10.77.0.1:7700 --token WHARF-1-4f0c…" });
    }
  }
  if (request.method === "DELETE") {
    if (role !== "admin") return refuse(403, "permission_denied", `role ${role} may not do this`, "use a token with role admin");
    const token = /^\/tokens\/(\w+)$/.exec(path);
    if (token && world.removeToken(token[1] ?? "", role)) return done();
    const host = /^\/hosts\/([^/]+)$/.exec(path);
    if (host && world.removeHost(host[1] ?? "", role)) return done();
  }
  refuse(404, "not_found", `the API has no path ${url.pathname}`);
}

/** The filters of the audit log. */
function takes(url: URL, { event }: EventRecord): boolean {
  const wanted = (name: string) => url.searchParams.get(name);
  const [kind, host, who] = [wanted("kind"), wanted("host"), wanted("who")];
  return (!kind || topicOf(event) === kind) && (!host || hostOf(event) === host) && (!who || whoOf(event) === who);
}

async function body<T>(request: IncomingMessage): Promise<T> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text || "{}") as T;
}

type Send = (name: string | undefined, data: unknown, id?: number) => void;

function stream(request: IncomingMessage, response: ServerResponse, begin: (send: Send) => () => void): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(":\n\n");
  const end = begin((name, data, id) => {
    response.write(`${name ? `event: ${name}\n` : ""}${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`);
  });
  request.on("close", end);
}
