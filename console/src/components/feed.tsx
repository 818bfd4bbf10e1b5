// What happened, newest first, in words.
import type { Event, EventRecord } from "../api/types";
import { href } from "../router";
import { type Told, concerns, tellAll } from "../words/events";
import { Icon } from "./icon";
import { Empty } from "./notice";
import { Ago } from "./time";

interface Props {
  records: readonly EventRecord[];
  app?: string | undefined;
  limit: number;
}

/** Steps, generations and the usual life of a container are the inside of a deploy: its page has them. */
function isInside(event: Event, told: Told): boolean {
  return event.kind === "deploy_step" || event.kind === "generation_made" || (event.kind === "instance_changed" && told.tone !== "bad");
}

export function Feed({ records, app, limit }: Props) {
  const shown = tellAll(records)
    .filter(({ record: { event }, told }) => !isInside(event, told) && concerns(event, told, app))
    .slice(-limit)
    .reverse();
  if (shown.length === 0) return <Empty command="wharf deploy DIR">Nothing has happened yet.</Empty>;
  return (
    <ol class="feed">
      {shown.map(({ record, told }) => (
        <li key={record.id}>
          <span class={`status ${told.tone}`}><Icon name={told.tone} /></span>
          <span class="feed-text">{told.href ? <a href={href(told.href)}>{told.text}</a> : told.text}</span>
          <span class="soft"><Ago at={record.at} /></span>
        </li>
      ))}
    </ol>
  );
}
