// The command that does the same: shown, and copied with a click.
import { useState } from "preact/hooks";
import { curl } from "../format";
import { Icon } from "./icon";

export function Command({ line }: { line: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard?.writeText(line).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1_500);
      },
      () => {},
    );
  };
  return (
    <span class="command">
      {/* A long line scrolls: those without a mouse must be able to. */}
      <code tabIndex={line.length > 60 ? 0 : undefined} role={line.length > 60 ? "group" : undefined} aria-label={line.length > 60 ? "Command" : undefined}>{line}</code>
      <button type="button" class="quiet" onClick={copy} aria-label={`Copy: ${line}`}>
        <Icon name={isCopied ? "ok" : "copy"} />
        <span class="visually-hidden" role="status">{isCopied ? "Copied" : ""}</span>
      </button>
    </span>
  );
}

/** What a button sends. */
export interface Request {
  method: "GET" | "POST" | "DELETE";
  /** Below `/api/v1`. */
  path: string;
  body?: unknown;
}

/** The same as commands: ours, where there is one, and curl. */
export function Same({ command, request }: { command?: string | undefined; request?: Request | undefined }) {
  if (command === undefined && request === undefined) return null;
  return (
    <div class="same-as">
      <p class="soft">The same as {command === undefined || request === undefined ? "a command" : "commands"}</p>
      {command === undefined ? null : <Command line={command} />}
      {request === undefined ? null : <Command line={curl(location.origin, request.method, request.path, request.body)} />}
    </div>
  );
}
