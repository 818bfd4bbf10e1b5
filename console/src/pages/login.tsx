// The log-in: a token, and where to find one.
import { useState } from "preact/hooks";
import { Command } from "../components/command";
import { Failure } from "../components/notice";
import { logIn } from "../live/store";

export function Login() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await logIn(token.trim());
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <main class="alone login">
      <img src="/favicon.svg" alt="" width="40" height="40" />
      <h1>Wharf</h1>
      <form onSubmit={submit}>
        {/* For password managers, which file a password under a name. */}
        <input type="text" name="username" autocomplete="username" value="token" readonly hidden />
        <label for="token">Token</label>
        <input
          id="token" type="password" autocomplete="current-password" required autofocus spellcheck={false}
          placeholder="wharf_…" value={token} onInput={(event) => setToken(event.currentTarget.value)}
        />
        {error ? <Failure error={error} /> : null}
        <button type="submit" class="primary" disabled={isBusy}>Log in</button>
      </form>
      <div class="soft">
        <p>The first token is in a file on the server's machine:</p>
        <Command line="cat wharf-data/token" />
      </div>
    </main>
  );
}
