// The command that does the same: shown, and copied with a click.
import { useState } from "preact/hooks";
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
      <code>{line}</code>
      <button type="button" class="quiet" onClick={copy} aria-label={`Copy: ${line}`}>
        <Icon name={isCopied ? "ok" : "copy"} />
        <span class="visually-hidden" role="status">{isCopied ? "Copied" : ""}</span>
      </button>
    </span>
  );
}
