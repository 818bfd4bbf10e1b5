// Routes with their targets.
import type { Route } from "../api/types";
import { count } from "../format";
import { href } from "../router";
import type { Tone } from "../words/events";
import { Status } from "./icon";
import { Table } from "./table";

/** `shop.example.com/api`, `any name/`. */
export function address(route: Route): string {
  return `${route.host ?? "*"}${route.path}`;
}

const TARGET_STATES: Record<string, { tone: Tone; word: string }> = {
  active: { tone: "ok", word: "gets requests" },
  draining: { tone: "info", word: "draining" },
  lost: { tone: "bad", word: "host lost" },
};

export function RouteList({ routes, inFlight }: { routes: readonly Route[]; inFlight?: (target: string) => number | undefined }) {
  return (
    <>
      {routes.map((route) => (
        <section key={`${address(route)} ${route.app} ${route.service}`} class="route">
          <h3>
            <span class="mono" title={route.host === null ? "every host name" : undefined}>{address(route)}</span>
            <span class="soft">
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
                  { name: "State", by: (target) => target.state, cell: (target) => <Status {...(TARGET_STATES[target.state] ?? { tone: "calm", word: target.state })} /> },
                  { name: "Host", by: (target) => target.host, cell: (target) => target.host || "–" },
                  { name: "Address", by: (target) => target.address, cell: (target) => <span class="mono">{target.address}</span> },
                  ...(inFlight ? [{ name: "In flight", isNumber: true, cell: (target: Route["targets"][number]) => inFlight(target.id) ?? "–" }] : []),
                ]}
              />
            )}
        </section>
      ))}
    </>
  );
}
