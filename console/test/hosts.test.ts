import { expect, test } from "vitest";
import type { HostResources, HostView } from "../src/api/types";
import { drainText, forHowLong, generationText, hostState, meters, removalText } from "../src/words/hosts";
import { problems } from "../src/words/problems";
import { emptyHistory } from "../src/live/history";

const NOW = 1_000_000;
const GIB = 2 ** 30;

function host(more: Partial<HostView> = {}): HostView {
  return {
    name: "web1", labels: {}, liveness: "up", draining: false, last_seen: NOW - 60_000, address: "10.0.0.1", engine_version: null, agent_version: null,
    cpus: 2, memory_bytes: 4 * GIB, generation: 12, instances_desired: 0, instances_healthy: 0, ...more,
  };
}

const resources = (more: Partial<HostResources> = {}): HostResources => ({
  load: [0.5, 0.25, 0.1], cpu_busy: 0.42, memory_available_bytes: GIB, disk_path: "/var/lib/docker", disk_bytes: 100 * GIB, disk_free_bytes: 40 * GIB, ...more,
});

test("a host's state comes with its reason", () => {
  const told = (more: Partial<HostView>) => {
    const { tone, word, reason } = hostState(host(more), NOW);
    return `${tone} ${word}: ${reason}`;
  };
  expect(told({})).toBe("ok up: ");
  expect(told({ liveness: "lost", instances_desired: 2 })).toBe("bad lost: its agent was last heard 1 min ago; 2 containers should run there");
  expect(told({ problem: "the Docker Engine does not answer" })).toBe("bad up: the Docker Engine does not answer");
  expect(told({ draining: true, instances_desired: 1 })).toBe("info draining: it gets no new containers; 1 container still there");
  expect(told({ liveness: "never" })).toContain("warn never connected: ");
  expect([forHowLong(host(), NOW), forHowLong(host({ since: NOW - 90_000 }), NOW), forHowLong(host({ since: NOW + 5_000 }), NOW)]).toEqual(["", "for 1 min 30 s", "for 1.0 s"]);
});

test("how far a host is behind", () => {
  expect(generationText(host(), undefined)).toBe("12");
  expect(generationText(host(), 12)).toBe("12, the newest");
  expect(generationText(host(), 14)).toBe("12, 2 behind the newest");
  expect(generationText(host({ generation_seen: 14 }), 14)).toBe("12, 2 behind the newest, works on 14");
});

test("meters show what the agent tells and say when it is much", () => {
  const told = (more: Partial<HostResources>) => meters(host({ resources: resources(more) })).map(({ name, share, text, tone }) => `${name} ${share?.toFixed(2)} ${tone}: ${text}`);
  expect(told({})).toEqual(["CPU 0.42 ok: 42 % of 2 CPUs", "Memory 0.75 ok: 3 GiB of 4 GiB", "Disk 0.60 ok: 60 GiB of 100 GiB"]);
  expect(told({ cpu_busy: 0.97, disk_free_bytes: 10 * GIB })).toEqual(["CPU 0.97 warn: 97 % of 2 CPUs", "Memory 0.75 ok: 3 GiB of 4 GiB", "Disk 0.90 warn: 90 GiB of 100 GiB"]);
  expect(told({ cpu_busy: null, memory_available_bytes: null, disk_bytes: null })).toEqual(["CPU 0.25 ok: load 0.5"]);
  expect(meters(host())).toEqual([]);
  expect(meters(host({ resources: null }))).toEqual([]);
});

test("a drain says whether the containers have somewhere to go", () => {
  const busy = host({ instances_desired: 2 });
  expect(drainText(host(), [])).toContain("none runs there now");
  expect(drainText(busy, [busy, host({ name: "web2" })])).toContain("the 2 containers there now move to other hosts");
  expect(drainText(busy, [busy, host({ name: "web2", draining: true }), host({ name: "web3", liveness: "lost" })])).toContain("they stay until one is");
  expect(drainText(host({ instances_desired: 1 }), [])).toContain("it stays until one is");
});

test("a removal says what happens", () => {
  expect(removalText(host({ instances_desired: 2 }))).toHaveLength(3);
  expect(removalText(host({ instances_desired: 2 }))[1]).toBe("The 2 containers that are to run there leave the desired state. They are not moved: drain the host first if they should be.");
  expect(removalText(host({ liveness: "lost" })).at(-1)).toContain("no requests any more");
});

test("a host's problem and a full disk are wrong", () => {
  const found = problems({
    hosts: [host({ name: "a", problem: "the disk is full" }), host({ name: "b", resources: resources({ disk_free_bytes: GIB }) }), host({ name: "c", resources: resources() })],
    instances: [], deploys: [], history: emptyHistory(), events: [], now: NOW,
  });
  expect(found.map(({ tone, text, detail, href }) => `${tone} ${text} (${detail}) ${href}`)).toEqual([
    "bad Host a has a problem (the disk is full) /hosts/a", "warn The disk of host b is nearly full (1 GiB free of 100 GiB) /hosts/b",
  ]);
});
