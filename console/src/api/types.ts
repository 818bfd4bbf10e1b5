// What the control API answers, as TypeScript. One type per record of crates/wharf-model and of the parts' `routes`;
// names and fields are theirs, so that a search finds both sides. Times are Unix milliseconds.

export type Role = "viewer" | "deployer" | "admin";

export interface Session {
  name: string;
  role: Role;
  /** When the token expires; missing from servers of the version before. */
  expires?: number | null;
}

export type ErrorCode =
  | "invalid_argument"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "already_exists"
  | "conflict"
  | "too_large"
  | "resource_exhausted"
  | "unavailable"
  | "deadline_exceeded"
  | "cancelled"
  | "unsupported"
  | "internal";

export interface ApiErrorBody {
  error: { code: ErrorCode; message: string; hint?: string };
}

export type Liveness = "never" | "up" | "lost";

export interface HostView {
  name: string;
  labels: Record<string, string>;
  liveness: Liveness;
  draining: boolean;
  last_seen: number;
  address: string | null;
  engine_version: string | null;
  agent_version: string | null;
  cpus: number | null;
  memory_bytes: number | null;
  generation: number;
  instances_desired: number;
  instances_healthy: number;
  /** What follows is missing from servers and agents of the version before. */
  since?: number | null;
  problem?: string | null;
  generation_seen?: number;
  architecture?: string | null;
  operating_system?: string | null;
  kernel?: string | null;
  resources?: HostResources | null;
}

/** How much of a host is in use; what could not be read is `null`. */
export interface HostResources {
  load: [one: number, five: number, fifteen: number] | null;
  /** From 0 to 1. */
  cpu_busy: number | null;
  memory_available_bytes: number | null;
  disk_path: string | null;
  disk_bytes: number | null;
  disk_free_bytes: number | null;
}

/** One of `/orphans`: what lies on a host and no generation names. */
export interface OrphanLine {
  host: string;
  kind: "container" | "network" | "volume";
  name: string;
  id: string;
  app: string;
  owner: "this_agent" | "other_agent" | "foreign";
  detail: string;
}

/** One of `/generations`. */
export interface GenerationLine {
  number: number;
  created: number;
  author: string;
  reason: string;
}

/** One of `/tokens`. */
export interface TokenView {
  id: string;
  name: string;
  role: Role;
  created: number;
  last_used: number | null;
  /** From when on it admits nobody; `null`: never. */
  expires?: number | null;
}

/** Answer of `POST /tokens`: the text is told this once. */
export interface TokenMade extends TokenView {
  token: string;
}

/** `GET /events`: oldest first; `older` goes into `before` for the page of what was before. */
export interface EventPage {
  events: EventRecord[];
  older?: number | null;
}

/** `InstanceState` is `{state: "healthy"}`, `{state: "failed", reason}`, `{state: "exited", code}`. */
export interface InstanceState {
  state: "waiting" | "pulling" | "starting" | "healthy" | "unhealthy" | "stopping" | "exited" | "failed";
  reason?: string;
  code?: number;
}

export interface InstanceLine {
  host: string;
  host_liveness?: Liveness;
  id: string;
  app: string;
  service: string;
  release: number;
  slot: number;
  state: InstanceState;
  address: string | null;
  container_id: string | null;
  since: number;
  restarts: number;
  log_tail: string[];
}

export interface ReleaseTraffic {
  app: string;
  service: string;
  release: number;
  requests: number;
  errors: number;
  client_aborts: number;
  in_flight: number;
  bytes_out: number;
  rate: number;
  error_rate: number;
  p50_ms: number | null;
  p99_ms: number | null;
  is_active: boolean;
}

export interface BalancerView {
  name: string;
  table_version: number;
  generation: number;
  traffic: ReleaseTraffic[];
  draining?: Record<string, number>;
}

export interface TrafficView {
  balancers: BalancerView[];
}

export interface Target {
  id: string;
  address: string;
  host: string;
  /** What the control plane knows of it. */
  state: "active" | "draining" | "lost";
  /** What this balancer's own checks say. */
  is_healthy: boolean;
  is_ejected: boolean;
  in_flight: number;
  requests: number;
  connect_failures: number;
  checks_failed: number;
}

export interface Route {
  app: string;
  service: string;
  release: number;
  host: string | null;
  path: string;
  balance: "round_robin" | "least_conn";
  timeout_ms: number | null;
  targets: Target[];
}

/** `GET /routes`: the balancer's table with the live state of its targets. */
export interface Table {
  version: number;
  generation: number;
  routes: Route[];
}

export type DeployState = "running" | "succeeded" | "failed" | "aborted";
export type What = "deploy" | "move" | "remove" | "restart" | "rollback" | "scale";

export interface DeployStep {
  step: string;
  detail: string;
  ended: boolean;
  millis: number;
}

export interface DeployView {
  id: number;
  app: string;
  release: number;
  what: What;
  by: string;
  state: DeployState;
  steps: DeployStep[];
  error: string | null;
  log_tail: string[];
  started: number;
  ended: number | null;
}

export type Event =
  | { kind: "server_started"; version: string }
  | { kind: "join_token_made"; uses: number; host: string | null; by: string }
  | { kind: "host_joined"; host: string }
  | { kind: "host_up"; host: string }
  | { kind: "host_lost"; host: string }
  | { kind: "host_drain"; host: string; draining: boolean; by: string }
  | { kind: "host_removed"; host: string; by: string }
  | { kind: "generation_made"; generation: number; author: string; reason: string }
  | { kind: "deploy_started"; deploy: number; app: string; release: number; what: string; by: string }
  | ({ kind: "deploy_step"; deploy: number; app: string; release: number } & DeployStep)
  | { kind: "deploy_output"; deploy: number; line: string }
  | { kind: "switched"; app: string; release: number; previous: number | null }
  | { kind: "deploy_succeeded"; deploy: number; app: string; release: number; millis: number }
  | { kind: "deploy_failed"; deploy: number; app: string; release: number; reason: string; log_tail: string[] }
  | { kind: "deploy_aborted"; deploy: number; app: string; release: number; by: string }
  | { kind: "instance_changed"; host: string; app?: string; instance: string; state: string; detail: string }
  | { kind: "drifted"; host: string; app: string; instance: string; what: string; outcome: string }
  | { kind: "orphan_removed"; host: string; what: string; name: string; by: string }
  | { kind: "executed"; app: string; service: string; instance: string; host: string; command: string; by: string }
  | { kind: "run_started"; app: string; service: string; release: number; run: string; host: string; command: string; by: string }
  | { kind: "run_ended"; app: string; service: string; run: string; host: string; detail: string }
  | { kind: "logged_in"; who: string }
  | { kind: "token_made"; name: string; role: string; by: string }
  | { kind: "token_removed"; name: string; by: string }
  | { kind: "warning"; part: string; message: string };

export interface EventRecord {
  id: number;
  at: number;
  event: Event;
}

/** One application; `/apps` lists them, `/apps/{app}` has one. */
export interface AppView {
  name: string;
  /** Release that serves. */
  release: number | null;
  /** Release that a rollback without a number goes to. */
  previous_release: number | null;
  services: ServiceView[];
  routes: { host: string | null; path: string; service: string }[];
  /** The deploy that runs now. */
  deploying: number | null;
}

export interface ServiceView {
  name: string;
  image: string;
  replicas_desired: number;
  replicas_healthy: number;
  routed: boolean;
  release: number;
}

export interface ReleaseView {
  number: number;
  created: number;
  author: string;
  message: string;
  /** Image of each service. */
  images: Record<string, string>;
  is_active: boolean;
  /** Requests have gone to it; only then a rollback to it is possible. */
  has_served?: boolean;
}

export interface ReleaseRef {
  number: number;
  created: number;
  author: string;
  message: string;
}

/** One difference between two releases; hidden values may be secrets and never leave the server. */
export interface Change {
  service: string | null;
  part: string;
  path: string;
  kind: "added" | "changed" | "removed";
  before: string | null;
  after: string | null;
  is_hidden: boolean;
}

/** `GET /apps/{app}/releases/{a}/diff/{b}`. */
export interface ReleaseDiff {
  app: string;
  from: ReleaseRef;
  to: ReleaseRef;
  changes: Change[];
}

/** Data of the event `line` of a service's log. */
export interface LogLine {
  host: string;
  instance: string;
  /** Nanoseconds since 1970, too many for a number; `0` when the Engine did not say. */
  at: string;
  stream: "stdout" | "stderr";
  text: string;
}

/** Data of the event `note` of the same: a host that can't be asked now. */
export interface LogNote {
  host: string;
  message: string;
}

/** Answer to everything that starts a deploy. */
export interface Started {
  deploy: number;
  release: number;
}

/** One of `/registry/repositories`, which is a plain list. */
export interface RepositoryView {
  name: string;
  tags: number;
  manifests: number;
  bytes: number;
  pushed: number | null;
}

/** One of `/registry/repositories/{name}/tags`, which is a plain list. */
export interface TagView {
  name: string;
  digest: string;
  media_type: string;
  bytes: number;
  pushed: number;
}

export interface JoinTokenMade {
  token: string;
  expires: number;
  command: string;
}
