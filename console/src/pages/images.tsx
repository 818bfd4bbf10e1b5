// Images: the repositories of the built-in registry and their tags, and who runs them.
import type { InstanceLine, Repository } from "../api/types";
import { Empty, Loaded } from "../components/notice";
import { Table } from "../components/table";
import { count } from "../format";
import { useApi } from "../live/use-api";
import { href } from "../router";

export default function Images() {
  const repositories = useApi<{ repositories: Repository[] }>("/registry/repositories");
  const instances = useApi<{ instances: InstanceLine[] }>("/instances");
  // Our own images are named `<registry>/<app>/<service>` (design.md, section 8).
  const users = (name: string) => (instances.data?.instances ?? []).filter((line) => `${line.app}/${line.service}` === name);
  return (
    <>
      <h1>Images</h1>
      <Loaded of={repositories} rows={5}>
        {(data) => data.repositories.length === 0
          ? <Empty command="docker push 127.0.0.1:5000/NAME:TAG">The registry is empty. A deploy that builds fills it, and so does a push.</Empty>
          : (
            <Table
              label="Repositories"
              rows={data.repositories}
              id={(repository) => repository.name}
              columns={[
                { name: "Repository", by: (repository) => repository.name, cell: (repository) => <span class="mono">{repository.name}</span> },
                { name: "Tags", isNumber: true, by: (repository) => repository.tags.length, cell: (repository) => repository.tags.length },
                { name: "Newest", cell: (repository) => <Tags tags={repository.tags} /> },
                { name: "Used by", cell: (repository) => <Users lines={users(repository.name)} /> },
              ]}
            />
          )}
      </Loaded>
    </>
  );
}

/** LIMIT: tags shown of one repository. */
const SHOWN_MAX = 8;

function Tags({ tags }: { tags: readonly string[] }) {
  const shown = tags.toSorted((a, b) => b.localeCompare(a, "en", { numeric: true })).slice(0, SHOWN_MAX);
  return (
    <span class="labels">
      {shown.map((tag) => <span key={tag} class="label mono">{tag}</span>)}
      {tags.length > SHOWN_MAX ? <span class="soft">and {tags.length - SHOWN_MAX} more</span> : null}
    </span>
  );
}

function Users({ lines }: { lines: readonly InstanceLine[] }) {
  const first = lines[0];
  if (!first) return <span class="soft">nobody now</span>;
  const hosts = new Set(lines.map((line) => line.host)).size;
  return <a href={href(`/apps/${encodeURIComponent(first.app)}`)}>{first.app}, {count(lines.length, "container")} on {count(hosts, "host")}</a>;
}
