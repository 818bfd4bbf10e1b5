// A small world for dev/fixture.ts: two applications on six hosts, traffic that moves, deploys that run.
import type {
  AppView, DeployStep, DeployView, Event, EventRecord, HostView, InstanceLine, LogLine, ReleaseDiff, ReleaseView, RepositoryView, Role, Table, TagView, TokenMade, TokenView,
  TrafficView, What,
} from "../src/api/types";

const MINUTE = 60_000;
const DIGEST = "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270";

interface App {
  name: string;
  service: string;
  release: number;
  previous: number | null;
  replicas: number;
  rate: number;
  pool: string;
}

export class World {
  readonly events: EventRecord[] = [];
  private readonly started = Date.now();
  private readonly apps_: App[] = [
    { name: "shop", service: "web", release: 2, previous: 1, replicas: 3, rate: 2_000, pool: "lab" },
    { name: "blog", service: "site", release: 5, previous: 4, replicas: 2, rate: 42, pool: "lab" },
  ];
  readonly tokens: TokenView[] = [
    { id: "58beb208dff7", name: "admin", role: "admin", created: this.started - 90 * MINUTE, last_used: this.started },
    { id: "0c31aa9e4b12", name: "ci", role: "deployer", created: this.started - 60 * MINUTE, last_used: this.started - 3 * MINUTE, expires: this.started + 29 * 1440 * MINUTE },
    { id: "77d0f3a1c9e4", name: "screen", role: "viewer", created: this.started - 50 * MINUTE, last_used: null, expires: this.started - 5 * MINUTE },
  ];
  private readonly removed = new Set<string>();
  private readonly draining = new Set<string>();
  private readonly runs: DeployView[] = [];
  private readonly listeners = new Set<(record: EventRecord) => void>();
  private readonly followers = new Map<number, Set<(name: string, data: unknown) => void>>();
  private readonly output = new Map<number, string[]>();
  private readonly counts = new Map<string, number>();

  constructor() {
    const ago = (minutes: number) => this.started - minutes * MINUTE;
    this.emit({ kind: "server_started", version: "0.1.0" }, ago(44));
    for (let index = 1; index <= 6; index += 1) this.emit({ kind: "host_joined", host: `lab${index}` }, ago(43) + index * 300);
    this.past("shop", 1, "deploy", ago(40), 8_400, null);
    this.past("blog", 5, "deploy", ago(31), 12_100, null);
    this.past("shop", 2, "deploy", ago(4.2), 9_130, null);
    this.emit({ kind: "switched", app: "shop", release: 2, previous: 1 }, ago(4.1));
    this.past("shop", 3, "deploy", ago(2.5), 14_800, "web on lab2 is unhealthy: GET /up answered 500 three times");
    this.emit({ kind: "host_lost", host: "lab6" }, ago(1.2));
  }

  private past(app: string, release: number, what: What, started: number, millis: number, error: string | null): void {
    const id = this.runs.length + 1;
    const steps: DeployStep[] = [
      { step: "build", detail: "web: 3 of 7 layers from cache", ended: true, millis: 3_120 },
      { step: "push", detail: "1.2 MiB", ended: true, millis: 410 },
      { step: "start", detail: "3 containers on lab1, lab2, lab3", ended: true, millis: 1_920 },
      { step: "health", detail: error ?? "3 of 3 healthy", ended: error === null, millis: 1_640 },
    ];
    if (error === null) {
      steps.push(
        { step: "switch", detail: "1 balancer has the new table", ended: true, millis: 12 },
        { step: "drain", detail: "37 requests finished on release 1", ended: true, millis: 1_310 },
        { step: "stop", detail: "3 containers", ended: true, millis: 590 },
      );
    }
    const log = error === null ? [] : ["listening on 0.0.0.0:8000", "GET /up 500: cannot read configuration: missing DATABASE_URL"];
    this.runs.push({ id, app, release, what, by: "admin", state: error === null ? "succeeded" : "failed", steps, error, log_tail: log, started, ended: started + millis });
    this.output.set(id, ["#1 [internal] load build definition from Dockerfile", "#2 [build 1/4] FROM scratch", "#3 [build 2/4] COPY app /app", "#3 CACHED", "#4 exporting to image", `#4 writing image ${DIGEST} done`]);
    this.emit({ kind: "deploy_started", deploy: id, app, release, what, by: "admin" }, started);
    this.emit(error === null
      ? { kind: "deploy_succeeded", deploy: id, app, release, millis }
      : { kind: "deploy_failed", deploy: id, app, release, reason: error, log_tail: log }, started + millis);
  }

  private emit(event: Event, at = Date.now()): void {
    const record = { id: this.events.length + 1, at, event };
    this.events.push(record);
    for (const listener of this.listeners) listener(record);
  }

  onEvent(listener: (record: EventRecord) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  everySecond(tick: () => void): () => void {
    const timer = setInterval(tick, 1_000);
    tick();
    return () => clearInterval(timer);
  }

  onDeploy(id: number, send: (name: string, data: unknown) => void): () => void {
    for (const line of this.output.get(id) ?? []) send("output", { line });
    const run = this.runs.find((one) => one.id === id);
    for (const step of run?.steps ?? []) send("step", step);
    if (run?.state !== "running") {
      send("end", run);
      return () => {};
    }
    const followers = this.followers.get(id) ?? new Set();
    followers.add(send);
    this.followers.set(id, followers);
    return () => followers.delete(send);
  }

  /** What the containers of a service printed in the last minute, then a line a second. */
  onLog(app: string, service: string, tell: (line: LogLine) => void): () => void {
    const own = this.instances().filter((line) => line.app === app && line.service === service);
    const one = (at: number, index: number) => {
      const from = own[index % Math.max(1, own.length)];
      if (!from) return;
      const isError = index % 17 === 5;
      const text = isError
        ? "warn: the shop's price list is older than an hour, asking again"
        : `${["GET / 200", "GET /item/41 200", "GET /up 200", "POST /basket 303"][index % 4]} ${(0.4 + (index % 7) / 5).toFixed(1)} ms`;
      tell({ host: from.host, instance: from.id, at: `${at}000000`, stream: isError ? "stderr" : "stdout", text });
    };
    for (let index = 60; index > 0; index -= 1) one(Date.now() - index * 1_000, 60 - index);
    let count = 60;
    const timer = setInterval(() => one(Date.now(), (count += 1)), 1_000);
    return () => clearInterval(timer);
  }

  hosts(): HostView[] {
    return Array.from({ length: 6 }, (_, index): HostView => {
      const name = `lab${index + 1}`;
      const isLost = index === 5;
      const own = this.instances().filter((line) => line.host === name);
      return {
        name, labels: { pool: "web", colour: index < 3 ? "green" : "blue" }, liveness: isLost ? "lost" : "up", draining: this.draining.has(name),
        last_seen: isLost ? this.started - 72_000 : Date.now() - index * 300, address: `10.77.0.${11 + index}`, engine_version: "20.10.24", agent_version: "0.1.0",
        cpus: 2, memory_bytes: 24 * 2 ** 30, generation: isLost ? 11 : 14, instances_desired: own.length, instances_healthy: own.filter((line) => line.state.state === "healthy").length,
        since: this.started - (isLost ? 1.2 : 43) * MINUTE, problem: index === 4 ? "the disk is full: images can't be pulled" : null, generation_seen: 14, architecture: "x86_64",
        operating_system: "Debian GNU/Linux 12 (bookworm)", kernel: "6.1.0-28-amd64",
        resources: {
          load: [0.4 + index / 3, 0.5, 0.45], cpu_busy: 0.1 + index * 0.15, memory_available_bytes: (20 - index * 2) * 2 ** 30, disk_path: "/var/lib/docker",
          disk_bytes: 100 * 2 ** 30, disk_free_bytes: index === 4 ? 0 : (60 - index * 9) * 2 ** 30,
        },
      };
    }).filter((host) => !this.removed.has(host.name));
  }

  makeToken({ name, role, ttl }: { name: string; role: Role; ttl?: string }, by: string): TokenMade {
    const view: TokenView = { id: (Date.now() % 2 ** 40).toString(16).padStart(12, "0"), name, role, created: Date.now(), last_used: null, expires: ttl ? Date.now() + Number.parseInt(ttl) * 60 * MINUTE : null };
    this.tokens.push(view);
    this.emit({ kind: "token_made", name, role, by });
    return { ...view, token: `wharf_${view.id}_${"0123456789abcdef".repeat(4)}` };
  }

  removeToken(id: string, by: string): boolean {
    const at = this.tokens.findIndex((token) => token.id === id);
    const [gone] = at < 0 ? [] : this.tokens.splice(at, 1);
    if (gone) this.emit({ kind: "token_removed", name: gone.name, by });
    return gone !== undefined;
  }

  removeHost(host: string, by: string): boolean {
    this.removed.add(host);
    this.emit({ kind: "host_removed", host, by });
    return true;
  }

  diff(app: string, from: number, to: number): ReleaseDiff {
    const reference = (number: number) => {
      const { created, author, message } = this.releases(app).find((release) => release.number === number) ?? { created: this.started, author: "admin", message: "" };
      return { number, created, author, message };
    };
    const change = { service: "web", kind: "changed" as const, is_hidden: false };
    const changes: ReleaseDiff["changes"] = from === to ? [] : [
      { ...change, part: "deploy", path: "services.web.deploy.replicas", before: "2", after: "3" },
      { ...change, part: "environment", path: "services.web.environment.PRICES", before: null, after: null, is_hidden: true },
      { ...change, part: "image", path: "services.web.image", before: `10.77.0.1:5000/${app}/web@${DIGEST}`, after: `10.77.0.1:5000/${app}/web@${DIGEST.replace("5b0", "9d1")}` },
      { ...change, part: "ports", path: "services.web.ports", kind: "added", before: null, after: "127.0.0.1:53:53/udp" },
      { ...change, service: null, part: "volumes", path: "volumes.cache", kind: "removed", before: "", after: null },
    ];
    return { app, from: reference(from), to: reference(to), changes };
  }

  instances(): InstanceLine[] {
    return this.apps_.flatMap((app, offset) => Array.from({ length: app.replicas }, (_, index): InstanceLine => {
      const number = (index + offset * 3) % 5 + 1;
      return {
        host: `lab${number}`, host_liveness: "up", id: `${app.name}-${app.service}-r${app.release}-${index + 1}`, app: app.name, service: app.service, release: app.release, slot: index + 1,
        state: { state: "healthy" }, address: `10.77.0.${10 + number}:3276${index}`, container_id: DIGEST.slice(7), since: this.started - 4 * MINUTE, restarts: 0, log_tail: [],
      };
    }));
  }

  apps(): AppView[] {
    return this.apps_.map((app) => ({
      name: app.name, release: app.release, previous_release: app.previous,
      services: [{ name: app.service, image: `10.77.0.1:5000/${app.name}/${app.service}@${DIGEST}`, replicas_desired: app.replicas, replicas_healthy: app.replicas, routed: true, release: app.release }],
      routes: [{ host: app.name === "shop" ? null : "blog.example.com", path: "/", service: app.service }],
      deploying: this.runs.findLast((run) => run.app === app.name && run.state === "running")?.id ?? null,
    }));
  }

  releases(name: string): ReleaseView[] {
    const app = this.apps_.find((one) => one.name === name);
    return Array.from({ length: Math.max(app?.release ?? 0, name === "shop" ? 3 : 0) }, (_, index) => ({
      number: index + 1, created: this.started - (45 - index * 15) * MINUTE, author: "admin", message: index === 1 ? "new prices" : "",
      images: { [app?.service ?? "web"]: `10.77.0.1:5000/${name}/${app?.service}@${DIGEST}` }, is_active: index + 1 === app?.release,
    })).reverse();
  }

  deploys(): DeployView[] {
    return this.runs.toReversed();
  }

  routes(): Table {
    const route = (app: App, host: string | null) => ({
      app: app.name, service: app.service, release: app.release, host, path: "/", balance: "least_conn" as const, timeout_ms: null,
      targets: this.instances().filter((line) => line.app === app.name).map((line) => ({ id: line.id, address: line.address ?? "", host: line.host, state: "active" as const, is_healthy: true, is_ejected: false, in_flight: 2, requests: 60_300, connect_failures: 0, checks_failed: 0 })),
    });
    return { version: 31, generation: 14, routes: this.apps_.map((app, index) => route(app, index === 0 ? null : "blog.example.com")) };
  }

  repositories(): RepositoryView[] {
    const one = (name: string, tags: number, minutes: number) => ({ name, tags, manifests: tags, bytes: 1_310_000 * (tags + 1), pushed: this.started - minutes * MINUTE });
    return [one("blog/site", 3, 31), one("shop/web", 3, 3), one("tools/debug", 1, 900)];
  }

  tags(): TagView[] {
    return [1, 2, 3].map((number) => ({ name: `r${number}`, digest: DIGEST, media_type: "application/vnd.oci.image.manifest.v1+json", bytes: 1_310_000, pushed: this.started - (40 - number * 12) * MINUTE }));
  }

  traffic(): TrafficView {
    const at = Date.now() / 1000;
    const traffic = this.apps_.flatMap((app, index) => {
      const wave = 1 + 0.03 * Math.sin(at / 7 + index) + 0.02 * Math.sin(at * 1.7);
      const line = (release: number, share: number, isActive: boolean) => {
        const rate = Math.round(app.rate * wave * share);
        const key = `${app.name} ${release}`;
        const requests = (this.counts.get(key) ?? 180_000) + rate;
        this.counts.set(key, requests);
        return {
          app: app.name, service: app.service, release, requests, errors: 0, client_aborts: 2, in_flight: Math.round(rate / 300), bytes_out: requests * 1_430, rate, error_rate: 0,
          p50_ms: rate === 0 ? null : 0.8 + 0.1 * Math.sin(at / 5), p99_ms: rate === 0 ? null : 3.1 + Math.sin(at / 3) + (at % 23 < 1 ? 4 : 0), is_active: isActive,
        };
      };
      return [...(app.previous === null ? [] : [line(app.previous, 0, false)]), line(app.release, 1, true)];
    });
    return { balancers: [{ name: "local", table_version: 31, generation: 14, traffic, draining: {} }] };
  }

  drain(host: string, draining: boolean, by: string): void {
    if (draining) this.draining.add(host);
    else this.draining.delete(host);
    this.emit({ kind: "host_drain", host, draining, by });
  }

  /** A deploy that takes about four seconds. */
  start(name: string, verb: string, wanted: { release?: number; services?: Record<string, number> | string[] }): number {
    const app = this.apps_.find((one) => one.name === name) ?? this.apps_[0];
    if (!app) return 0;
    const id = this.runs.length + 1;
    const release = wanted.release ?? app.release;
    const replicas = Array.isArray(wanted.services) ? undefined : Object.values(wanted.services ?? {})[0];
    const what: What = verb === "scale" || verb === "restart" ? verb : "rollback";
    const run: DeployView = { id, app: name, release, what, by: "admin", state: "running", steps: [], error: null, log_tail: [], started: Date.now(), ended: null };
    this.runs.push(run);
    this.emit({ kind: "deploy_started", deploy: id, app: name, release, what, by: "admin" });
    const tell = (event: string, data: unknown) => this.followers.get(id)?.forEach((send) => send(event, data));
    const steps = [["plan", "1 service changes"], ["start", `${replicas ?? app.replicas} containers`], ["health", "all healthy"], ["switch", "1 balancer has the new table"], ["drain", "0 in flight"]];
    steps.forEach(([step = "", detail = ""], index) => {
      setTimeout(() => {
        const begun = { step, detail, ended: false, millis: 0 };
        run.steps.push(begun);
        tell("step", { ...begun });
        this.emit({ kind: "deploy_step", deploy: id, app: name, release, ...begun });
      }, 200 + index * 800);
      setTimeout(() => {
        const ended = { step, detail, ended: true, millis: 600 + index * 31 };
        run.steps[index] = ended;
        tell("step", ended);
        if (step === "switch" && release !== app.release) {
          this.emit({ kind: "switched", app: name, release, previous: app.release });
          app.previous = app.release;
          app.release = release;
        }
        if (step === "start" && replicas !== undefined) app.replicas = replicas;
      }, 800 + index * 800);
    });
    setTimeout(() => {
      run.state = "succeeded";
      run.ended = Date.now();
      tell("end", run);
      this.emit({ kind: "deploy_succeeded", deploy: id, app: name, release, millis: run.ended - run.started });
    }, 500 + steps.length * 800);
    return id;
  }
}
