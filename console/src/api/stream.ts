// Server-sent events that come back by themselves.
//
// `EventSource` resumes with `Last-Event-ID` after a lost connection, but gives up for good on an HTTP error (a restart
// behind a proxy, an ended session). Then this opens a new one with `?after=`, waiting longer each time.

export interface Handlers {
  /** Called with the name of each event (`message` when it has none), its parsed data, and its id (may be empty). */
  onEvent: (name: string, data: unknown, id: string) => void;
  /** Called when the stream is there (again) and when it is lost. */
  onLive?: (isLive: boolean) => void;
}

export interface Options {
  /** Names of events besides `message`. */
  names?: readonly string[];
  /** Go on after this id. */
  after?: number;
  /** An event of this name ends the stream: nothing follows. */
  last?: string;
  /** For tests. */
  source?: new (url: string) => EventSource;
}

const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 15_000;

/** Opens the stream below `/api/v1`; the result closes it. */
export function openStream(path: string, handlers: Handlers, options: Options = {}): () => void {
  const Source = options.source ?? EventSource;
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = WAIT_FIRST_MS;
  let after = options.after?.toString();

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const receive = (event: MessageEvent<string>) => {
    if (event.lastEventId !== "") after = event.lastEventId;
    let data: unknown;
    try {
      data = JSON.parse(event.data);
    } catch {
      data = event.data;
    }
    handlers.onEvent(event.type, data, event.lastEventId);
    if (event.type === options.last) close();
  };
  const open = () => {
    const current = new Source(withAfter(`/api/v1${path}`, after));
    source = current;
    current.onopen = () => {
      wait = WAIT_FIRST_MS;
      handlers.onLive?.(true);
    };
    current.onerror = () => {
      handlers.onLive?.(false);
      // 2 is CLOSED: the browser has given up. Otherwise it is connecting again already.
      if (current.readyState === 2 && source === current) {
        timer = setTimeout(open, wait);
        wait = Math.min(wait * 2, WAIT_MOST_MS);
      }
    };
    for (const name of ["message", ...(options.names ?? [])]) {
      current.addEventListener(name, receive as EventListener);
    }
  };
  open();
  return close;
}

function withAfter(path: string, after: string | undefined): string {
  if (after === undefined) return path;
  return `${path}${path.includes("?") ? "&" : "?"}after=${after}`;
}
