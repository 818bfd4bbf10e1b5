// Routes with their targets.
import type { Route, Target } from "../api/types";
import { count } from "../format";
import { href } from "../router";
import type { Tone } from "../words/events";
import { Status } from "./icon";
import { Table } from "./table";

/** `shop.example.com/api`, or just `/api` for every host name. */
export function address(route: Route): string {
  return `${route.host ?? ""}${route.path}`;
}

function targetState(target: Target): { tone: Tone; word: string } {
  if (target.state === "lost") return { tone: "bad", word: "host lost" };
  if (target.state === "draining") return { tone: "info", word: "draining" };
  if (target.is_ejected) return { tone: "bad", word: "ejected" };
  return target.is_healthy ? { tone: "ok", word: "gets requests" } : { tone: "bad", word: "fails its checks" };
}

export function RouteList({ routes }: { routes: readonly Route[] }) {
  return (
    <>
      {routes.map((route) => (
        <section key={`${address(route)} ${route.app} ${route.service}`} class="route">
          <h3>
            <span class="mono">{address(route)}</span>
            <span class="soft">
              {route.host === null ? "of every host name, " : ""}
              {route.app === "" ? `from wharf.yaml, ${route.service}` : <>to <a href={href(`/apps/${encodeURIComponent(route.app)}`)}>{route.app}</a> {route.service}, release {route.release}</>}
              {", "}{route.balance === "least_conn" ? "least connections" : "round robin"}, {count(route.targets.length, "target")}
            </span>
          </h3>
          {route.targets.length === 0
            ? <p class="status bad">No target: requests are answered with 503.</p>
            : (
              <Table
                label={`Targets of ${address(route)}`}
                rows={route.targets}
                id={(target) => `${target.id} ${target.address}`}
                columns={[
                  { name: "Target", by: (target) => target.id, cell: (target) => target.id },
                  { name: "State", by: (target) => targetState(target).word, cell: (target) => <Status {...targetState(target)} /> },
                  { name: "Host", by: (target) => target.host, cell: (target) => target.host || "–" },
                  { name: "Address", by: (target) => target.address, cell: (target) => <span class="mono">{target.address}</span> },
                  { name: "In flight", isNumber: true, by: (target) => target.in_flight, cell: (target) => target.in_flight },
                  { name: "Requests", isNumber: true, by: (target) => target.requests, cell: (target) => target.requests.toLocaleString("en") },
                  { name: "No connection", isNumber: true, by: (target) => target.connect_failures, cell: (target) => target.connect_failures },
                  { name: "Failed checks", isNumber: true, by: (target) => target.checks_failed, cell: (target) => target.checks_failed },
                ]}
              />
            )}
        </section>
      ))}
    </>
  );
}
