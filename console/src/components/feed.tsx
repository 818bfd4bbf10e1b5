// What happened, newest first, in words.
import type { EventRecord } from "../api/types";
import { href } from "../router";
import { tell } from "../words/events";
import { Icon } from "./icon";
import { Empty } from "./notice";
import { Ago } from "./time";

interface Props {
  records: readonly EventRecord[];
  app?: string | undefined;
  limit: number;
}

export function Feed({ records, app, limit }: Props) {
  const shown = records
    .map((record) => ({ record, told: tell(record.event) }))
    // Steps and generations are the inside of a deploy: its page has them.
    .filter(({ record, told }) => record.event.kind !== "deploy_step" && record.event.kind !== "generation_made" && (app === undefined || told.app === null || told.app === app))
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
