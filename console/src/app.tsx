// The frame: rail, top bar, change strip, and the page that the path names.
import type { ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Keys } from "./components/keys";
import { Failure, Skeleton } from "./components/notice";
import { Rail } from "./components/rail";
import { Strip } from "./components/strip";
import { TopBar } from "./components/top-bar";
import { isEventsLive, session, sessionError, whoAmI } from "./live/store";
import { Login } from "./pages/login";
import { PLACES, type Place } from "./places";
import { match } from "./pattern";
import { path } from "./router";

export function App() {
  useEffect(() => {
    whoAmI();
  }, []);
  if (sessionError.value) return <main class="alone"><Failure error={sessionError.value} retry={whoAmI} /></main>;
  if (session.value === undefined) return <main class="alone"><Skeleton /></main>;
  if (session.value === null) return <Login />;
  return <Frame />;
}

function Frame() {
  const found = useMemo(() => find(path.value), [path.value]);
  useEffect(() => {
    const name = found?.place.name.replace(/:(\w+)/g, (_all, part: string) => found.parts[part] ?? "");
    document.title = `${name ?? "Not found"} · Wharf`;
  }, [found]);
  return (
    <div class="frame">
      <a class="skip" href="#main">Skip to the page</a>
      <Rail under={found?.place.under ?? ""} />
      <div class="body">
        <section class="view" aria-label="View">
          <TopBar />
          <LostLine />
          <Strip />
        </section>
        <main id="main" tabIndex={-1}>
          {found ? <Shown key={path.value} place={found.place} parts={found.parts} /> : <NotFound />}
        </main>
      </div>
      <Keys />
    </div>
  );
}

/** Says that what is shown is old; not on the first second, when nothing has been there yet. */
function LostLine() {
  const [isLate, setLate] = useState(false);
  const isLive = isEventsLive.value;
  useEffect(() => {
    if (isLive) {
      setLate(false);
      return;
    }
    const timer = setTimeout(() => setLate(true), 2_000);
    return () => clearTimeout(timer);
  }, [isLive]);
  return isLate ? <p class="lost" role="status">No connection to the server: what you see may be old. Trying again.</p> : null;
}

function find(pathname: string): { place: Place; parts: Record<string, string> } | null {
  for (const place of PLACES) {
    const parts = match(place.pattern, pathname);
    if (parts) return { place, parts };
  }
  return null;
}

const loaded = new Map<Place, ComponentType<Record<string, string>>>();

function Shown({ place, parts }: { place: Place; parts: Record<string, string> }) {
  const [, redraw] = useState(0);
  const [error, setError] = useState<unknown>(null);
  const Page = loaded.get(place);
  useEffect(() => {
    if (Page) return;
    // Once more, for the same reason as in api/client.ts.
    const again = () => new Promise((resolve) => setTimeout(resolve, 300)).then(place.load);
    place.load().catch(again).then(
      (module) => {
        loaded.set(place, module.default);
        redraw((count) => count + 1);
      },
      setError,
    );
  }, [place, Page]);
  // The server has been updated and the old files are gone: the new page has the new names.
  if (error) return <Failure error={new Error("this page could not be loaded")} retry={() => location.reload()} />;
  return Page ? <Page {...parts} /> : <Skeleton rows={6} />;
}

function NotFound() {
  return (
    <section class="empty">
      <h1>There is no such page</h1>
      <p>The console has no place <code>{path.value}</code>. <a href="/">Go to the overview</a>.</p>
    </section>
  );
}
