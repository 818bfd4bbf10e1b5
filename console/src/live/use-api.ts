// A list or record of the API on a page: shown at once from what was had before, asked again when something changed.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { changed } from "./store";

/** LIMIT: answers that are remembered between pages. */
const REMEMBERED_MAX = 64;
const remembered = new Map<string, unknown>();

/** Asked again after this time even if no event came: an event may have been lost. */
const REFRESH_MS = 10_000;

export interface Resource<T> {
  data: T | undefined;
  /** Of the last try; `data` may be older. */
  error: unknown;
  refresh: () => void;
}

/** `path` below `/api/v1`; `null` asks nothing. Asked again every `everyMs`, and at once when an event came. */
export function useApi<T>(path: string | null, everyMs = REFRESH_MS): Resource<T> {
  const [answer, setAnswer] = useState<{ path: string | null; data: T | undefined; error: unknown }>({
    path, data: path === null ? undefined : (remembered.get(path) as T | undefined), error: null,
  });
  const running = useRef<AbortController | null>(null);

  const refresh = useCallback(() => {
    if (path === null) return;
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    get<T>(path, controller.signal).then(
      (data) => {
        remembered.delete(path);
        remembered.set(path, data);
        if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string);
        setAnswer({ path, data, error: null });
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        setAnswer((before) => ({ path, data: before.path === path ? before.data : undefined, error }));
      },
    );
  }, [path]);

  useEffect(() => {
    setAnswer((before) => (before.path === path ? before : { path, data: path === null ? undefined : (remembered.get(path) as T | undefined), error: null }));
    refresh();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") refresh();
    }, everyMs);
    let isFirst = true;
    const unsubscribe = changed.subscribe(() => {
      if (!isFirst) refresh();
      isFirst = false;
    });
    return () => {
      clearInterval(timer);
      unsubscribe();
      running.current?.abort();
    };
  }, [path, refresh, everyMs]);

  const isCurrent = answer.path === path;
  return { data: isCurrent ? answer.data : undefined, error: isCurrent ? answer.error : null, refresh };
}
