// A service's log on a page: what was printed last, then what is printed, as it comes.
import { useEffect, useRef, useState } from "preact/hooks";
import { openStream } from "../api/stream";
import type { LogLine, LogNote } from "../api/types";
import { NOTHING, type Tail, addTold } from "../words/tail";

/** Lines that come within this time are one change of the page: a service may print thousands in a second. */
const BATCH_MS = 100;
/** Lines of each container from the past. */
const PAST = 200;

export interface Following {
  tail: Tail;
  isLive: boolean;
}

/** Follows the log of a service until the page is left. */
export function useTail(app: string, service: string): Following {
  const [tail, setTail] = useState<Tail>(NOTHING);
  const [isLive, setLive] = useState(false);
  const waiting = useRef<({ line: LogLine } | { note: LogNote })[]>([]);
  useEffect(() => {
    setTail(NOTHING);
    waiting.current = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      const told = waiting.current;
      waiting.current = [];
      setTail((before) => addTold(before, told, Date.now()));
    };
    const onEvent = (name: string, data: unknown) => {
      waiting.current.push(name === "note" ? { note: data as LogNote } : { line: data as LogLine });
      timer ??= setTimeout(flush, BATCH_MS);
    };
    const path = `/apps/${encodeURIComponent(app)}/services/${encodeURIComponent(service)}/logs?follow=true&lines=${PAST}`;
    const close = openStream(path, { onEvent, onLive: setLive }, { names: ["line", "note"] });
    return () => {
      close();
      clearTimeout(timer);
    };
  }, [app, service]);
  return { tail, isLive };
}
