// What the console knows, as signals fed by server-sent events. Started after the log-in, stopped by the log-out.
import { effect, signal } from "@preact/signals";
import { call, get, post, remove, whenLoggedOut } from "../api/client";
import { openStream } from "../api/stream";
import type { EventRecord, Session, TrafficView } from "../api/types";
import { addEvents } from "./feed";
import { addReport } from "./history";
import { forget, keepOnLeave, restore } from "./keep";

/** `undefined`: not asked yet; `null`: nobody is logged in. */
export const session = signal<Session | null | undefined>(undefined);
/** The server could not even be asked who is logged in. */
export const sessionError = signal<unknown>(null);

export const events = signal<EventRecord[]>([]);
/** Changed in place every second; `historyVersion` tells. */
export const history = restore();
keepOnLeave(history);
export const historyVersion = signal(0);
export const balancers = signal<TrafficView["balancers"]>([]);

/** Whether the streams are there; `false` shows a line at the top. */
export const isEventsLive = signal(false);
export const isTrafficLive = signal(false);

/** Now, in whole seconds: what relative times and ranges count from. */
export const now = signal(Date.now());
setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, 1_000);

/** Grows when something changed that lists show; see `useApi`. */
export const changed = signal(0);

export async function whoAmI(): Promise<void> {
  sessionError.value = null;
  try {
    session.value = await call<Session>("GET", "/session");
  } catch (error) {
    if ((error as { code?: string }).code === "unauthenticated") session.value = null;
    else sessionError.value = error;
  }
}

export async function logIn(token: string): Promise<void> {
  session.value = await post<Session>("/session", { token });
}

export async function logOut(): Promise<void> {
  await remove("/session");
  forget(history);
  session.value = null;
}

whenLoggedOut(() => {
  session.value = null;
});

let stop = () => {};
let startedFor: string | null = null;

effect(() => {
  const name = session.value?.name ?? null;
  if (name === startedFor) return;
  startedFor = name;
  stop();
  stop = name === null ? () => {} : start();
});

function start(): () => void {
  const ended = new AbortController();
  let closeEvents = () => {};
  const follow = (after?: number) => {
    const handlers = {
      onEvent: (_name: string, data: unknown) => takeEvents([data as EventRecord]),
      onLive: (isLive: boolean) => {
        isEventsLive.value = isLive;
        if (isLive) notice();
      },
    };
    closeEvents = openStream("/events/stream?output=false", handlers, after === undefined ? {} : { after });
  };
  get<{ events: EventRecord[] }>("/events?limit=500&output=false", ended.signal).then(
    (page) => {
      takeEvents(page.events);
      follow(page.events.at(-1)?.id);
    },
    () => {
      if (!ended.signal.aborted) follow();
    },
  );
  const closeTraffic = openStream("/traffic/stream", {
    onEvent: (_name, data) => {
      const view = data as TrafficView;
      if (!Array.isArray(view?.balancers)) return;
      balancers.value = view.balancers;
      addReport(history, view, Math.floor(Date.now() / 1000));
      historyVersion.value += 1;
    },
    onLive: (isLive) => {
      isTrafficLive.value = isLive;
    },
  }, { names: ["traffic"] });
  return () => {
    ended.abort();
    closeEvents();
    closeTraffic();
  };
}

let noticeTimer: ReturnType<typeof setTimeout> | undefined;

/** Lists ask again, once for a burst of events. */
export function notice(): void {
  noticeTimer ??= setTimeout(() => {
    noticeTimer = undefined;
    changed.value += 1;
  }, 250);
}

function takeEvents(more: readonly EventRecord[]): void {
  events.value = addEvents(events.value, more);
  notice();
}
