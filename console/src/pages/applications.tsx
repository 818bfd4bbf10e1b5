// Applications: all of them.
import type { AppView, InstanceLine } from "../api/types";
import { AppTable } from "../components/app-table";
import { Command } from "../components/command";
import { Loaded } from "../components/notice";
import { useApi } from "../live/use-api";

export default function Applications() {
  const apps = useApi<{ apps: AppView[] }>("/apps");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  return (
    <>
      <h1>Applications</h1>
      <Loaded of={apps} rows={5}>{(data) => <AppTable apps={data.apps} instances={instances.data?.instances ?? []} />}</Loaded>
      <p class="same"><span class="soft">Deploy one</span><Command line="wharf deploy DIR" /></p>
    </>
  );
}
