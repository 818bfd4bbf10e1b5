// What happened, newest first, in words.
import type { Event, EventRecord } from "../api/types";
import { href } from "../router";
import { type Told, concerns, hostOf, tellAll } from "../words/events";
import { type Scope, scopeText } from "../words/scope";
import { Icon } from "./icon";
import { Empty } from "./notice";
import { Ago } from "./time";

interface Props {
  records: readonly EventRecord[];
  scope: Scope;
  limit: number;
  /** Leaves out what names no host. */
  isOnlyOfHost?: boolean;
}

/** Steps, generations and the usual life of a container are the inside of a deploy: its page has them. */
function isInside(event: Event, told: Told): boolean {
  return event.kind === "deploy_step" || event.kind === "generation_made" || (event.kind === "instance_changed" && told.tone !== "bad");
}

export function Feed({ records, scope, limit, isOnlyOfHost }: Props) {
  const shown = tellAll(records)
    .filter(({ record: { event }, told }) => !isInside(event, told) && concerns(event, told, scope) && (!isOnlyOfHost || hostOf(event) !== undefined))
    .slice(-limit)
    .reverse();
  const where = scopeText(scope);
  if (shown.length === 0) return <Empty command="wharf events">Nothing has happened {where === "" ? "yet" : `to ${where.replace(/^on /, "")} lately`}.</Empty>;
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
