// Applications: all of them.
import type { AppView } from "../api/types";
import { AppTable } from "../components/app-table";
import { Command } from "../components/command";
import { Loaded } from "../components/notice";
import { useApi } from "../live/use-api";

export default function Applications() {
  const apps = useApi<{ apps: AppView[] }>("/apps");
  return (
    <>
      <h1>Applications</h1>
      <section aria-label="All applications">
        <Loaded of={apps} rows={5}>{(data) => <AppTable apps={data.apps} />}</Loaded>
        <p class="same"><span class="soft">Deploy one</span><Command line="wharf deploy DIR" /></p>
      </section>
    </>
  );
}
