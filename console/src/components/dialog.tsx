// Asks before something is done: names the thing, what uses it, and the command that does the same.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { type Request, Same } from "./command";
import { Failure } from "./notice";

export interface Question {
  title: string;
  children: ComponentChildren;
  /** What the button says: the act, never "OK". */
  act: string;
  isDangerous?: boolean;
  command?: string | undefined;
  /** What the act sends, for the curl line. */
  request?: Request | undefined;
  /** Without it the act is not possible yet: something must be chosen. */
  isReady?: boolean;
  onAct: () => Promise<void>;
  onClose: () => void;
}

export function Ask({ title, children, act, isDangerous, command, request, isReady = true, onAct, onClose }: Question) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const titleId = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onAct();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id={titleId}>{title}</h2>
        {children}
        <Same command={command} request={request} />
        {error ? <Failure error={error} /> : null}
        <div class="buttons">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={isBusy || !isReady}>{act}</button>
        </div>
      </form>
    </dialog>
  );
}
