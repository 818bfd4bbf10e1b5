// The audit log on a page: the newest records that a filter takes, older ones on demand, new ones as they come.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { openStream } from "../api/stream";
import type { EventPage, EventRecord } from "../api/types";
import { addRecords } from "../words/audit";

/** Records of one page. */
const PAGE = 100;

export interface Audit {
  /** Newest first; `undefined` before the first answer. */
  records: readonly EventRecord[] | undefined;
  error: unknown;
  hasOlder: boolean;
  isLoading: boolean;
  loadOlder: () => void;
  retry: () => void;
}

/** `filter` is the query of `words/audit.ts`. */
export function useAudit(filter: string): Audit {
  const [records, setRecords] = useState<readonly EventRecord[]>();
  const [older, setOlder] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isLoading, setLoading] = useState(false);
  const [tries, setTries] = useState(0);
  const current = useRef(new AbortController());

  useEffect(() => {
    const ended = new AbortController();
    current.current = ended;
    let close = () => {};
    setRecords(undefined);
    setOlder(null);
    setError(null);
    setLoading(false);
    get<EventPage>(`/events?${filter}&limit=${PAGE}`, ended.signal).then(
      (page) => {
        if (ended.signal.aborted) return;
        setRecords(addRecords([], page.events));
        setOlder(page.older ?? null);
        const handlers = { onEvent: (_name: string, data: unknown) => setRecords((before) => addRecords(before ?? [], [data as EventRecord])) };
        const last = page.events.at(-1)?.id;
        close = openStream(`/events/stream?${filter}`, handlers, last === undefined ? {} : { after: last });
      },
      (failure: unknown) => {
        if (!ended.signal.aborted) setError(failure);
      },
    );
    return () => {
      ended.abort();
      close();
    };
  }, [filter, tries]);

  const loadOlder = useCallback(() => {
    if (older === null) return;
    const { signal } = current.current;
    setLoading(true);
    setError(null);
    get<EventPage>(`/events?${filter}&limit=${PAGE}&before=${older}`, signal).then(
      (page) => {
        setRecords((before) => addRecords(before ?? [], page.events));
        setOlder(page.older ?? null);
        setLoading(false);
      },
      (failure: unknown) => {
        if (signal.aborted) return;
        setError(failure);
        setLoading(false);
      },
    );
  }, [filter, older]);

  const retry = useCallback(() => setTries((count) => count + 1), []);
  return { records, error, hasOlder: older !== null, isLoading, loadOlder, retry };
}
