// What stands where data would: nothing yet, nothing at all, or what went wrong.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiFailure } from "../api/client";
import type { Resource } from "../live/use-api";
import { Command } from "./command";
import { Icon } from "./icon";

/** No data: one sentence and the command that changes that. */
export function Empty({ children, command }: { children: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <p>{children}</p>
      {command === undefined ? null : <Command line={command} />}
    </div>
  );
}

/** An error: what was tried, why it failed, what to do, and a button to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const failure = error instanceof ApiFailure ? error : null;
  return (
    <div class="failure" role="alert">
      <Icon name="bad" />
      <div>
        <p>{error instanceof Error ? error.message : String(error)}{failure?.hint ? ` – ${failure.hint}` : ""}</p>
        {failure ? <p class="soft mono">{failure.tried}</p> : null}
      </div>
      {retry ? <button type="button" onClick={retry}>Try again</button> : null}
    </div>
  );
}

/** Grey bars, after 200 ms: what comes faster needs none. */
export function Skeleton({ rows = 3 }: { rows?: number }) {
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {isSlow ? Array.from({ length: rows }, (_, index) => <span key={index} />) : null}
    </div>
  );
}

/** Shows `children` with the data; a skeleton or the error before. An error beside older data stands above it. */
export function Loaded<T>({ of, children, rows }: { of: Resource<T>; children: (data: T) => ComponentChildren; rows?: number }) {
  if (of.data === undefined) {
    return of.error ? <Failure error={of.error} retry={of.refresh} /> : <Skeleton {...(rows === undefined ? {} : { rows })} />;
  }
  return (
    <>
      {of.error ? <Failure error={of.error} retry={of.refresh} /> : null}
      {children(of.data)}
    </>
  );
}
