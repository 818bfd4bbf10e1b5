// Images: the repositories of the built-in registry, who runs them, and the tags of the chosen one.
import { ApiFailure } from "../api/client";
import type { InstanceLine, RepositoryView, TagView } from "../api/types";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { Ago } from "../components/time";
import { bytes, count } from "../format";
import { useApi } from "../live/use-api";
import { href, query } from "../router";

export default function Images() {
  const repositories = useApi<RepositoryView[]>("/registry/repositories");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  const chosen = query.value.get("repository");
  // Our own images are named `<registry>/<app>/<service>` (design.md, section 8).
  const users = (name: string) => (instances.data?.instances ?? []).filter((line) => `${line.app}/${line.service}` === name);
  const isOff = repositories.error instanceof ApiFailure && repositories.error.code === "not_found";
  if (isOff) return <><h1>Images</h1><Empty command="wharf up">This server runs without its registry.</Empty></>;
  return (
    <>
      <h1>Images</h1>
      <Loaded of={repositories} rows={5}>
        {(data) => data.length === 0
          ? <Empty command="docker push 127.0.0.1:5000/NAME:TAG">The registry is empty. A deploy that builds fills it, and so does a push.</Empty>
          : (
            <Table
              label="Repositories"
              rows={data}
              id={(repository) => repository.name}
              columns={[
                {
                  name: "Repository", by: (repository) => repository.name,
                  cell: (repository) => <a class="mono" href={href(`/images?repository=${encodeURIComponent(repository.name)}`)}>{repository.name}</a>,
                },
                { name: "Used by", cell: (repository) => <Users lines={users(repository.name)} /> },
                { name: "Tags", isNumber: true, by: (repository) => repository.tags, cell: (repository) => repository.tags },
                { name: "Manifests", isNumber: true, by: (repository) => repository.manifests, cell: (repository) => repository.manifests },
                { name: "Size", isNumber: true, by: (repository) => repository.bytes, cell: (repository) => <span title={`${repository.bytes} bytes`}>{bytes(repository.bytes)}</span> },
                { name: "Pushed", isNumber: true, by: (repository) => repository.pushed, cell: (repository) => (repository.pushed === null ? "–" : <Ago at={repository.pushed} />) },
              ]}
            />
          )}
      </Loaded>
      {chosen === null ? null : <Tags repository={chosen} />}
    </>
  );
}

function Tags({ repository }: { repository: string }) {
  const path = repository.split("/").map(encodeURIComponent).join("/");
  const tags = useApi<TagView[]>(`/registry/repositories/${path}/tags`);
  return (
    <section aria-labelledby="tags-title">
      <h2 id="tags-title">Tags of <span class="mono">{repository}</span></h2>
      <Loaded of={tags}>
        {(data) => data.length === 0
          ? <Empty>No tag points here; its manifests are known by digest only.</Empty>
          : (
            <Table
              label="Tags"
              rows={data}
              id={(tag) => tag.name}
              columns={[
                { name: "Tag", by: (tag) => tag.name, cell: (tag) => <span class="mono">{tag.name}</span> },
                { name: "Digest", by: (tag) => tag.digest, cell: (tag) => <span class="mono" title={tag.digest}>{tag.digest.slice(0, 19)}…</span> },
                { name: "Kind", by: (tag) => tag.media_type, cell: (tag) => <span title={tag.media_type}>{/index|list/.test(tag.media_type) ? "index" : "image"}</span> },
                { name: "Size", isNumber: true, by: (tag) => tag.bytes, cell: (tag) => <span title={`${tag.bytes} bytes`}>{bytes(tag.bytes)}</span> },
                { name: "Pushed", isNumber: true, by: (tag) => tag.pushed, cell: (tag) => <Ago at={tag.pushed} /> },
              ]}
            />
          )}
      </Loaded>
    </section>
  );
}

function Users({ lines }: { lines: readonly InstanceLine[] }) {
  const first = lines[0];
  if (!first) return <span class="soft">nobody now</span>;
  const hosts = new Set(lines.map((line) => line.host)).size;
  return <a href={href(`/apps/${encodeURIComponent(first.app)}`)}>{first.app}, {count(lines.length, "container")} on {count(hosts, "host")}</a>;
}
