// The change strip: what changed, on the time axis of everything below it.
import { clock, utc } from "../format";
import { range } from "../live/range";
import { scope } from "../live/scope";
import { events } from "../live/store";
import { href } from "../router";
import { group, marks } from "../words/events";
import { Icon } from "./icon";

export function Strip() {
  const { from, to } = range.value;
  const groups = group(marks(events.value, from * 1000, to * 1000, scope.value), from * 1000, to * 1000);
  return (
    <div class="strip" role="group" aria-label="Changes in this time">
      <span class="strip-edge" title={utc(from * 1000)}>{clock(from * 1000)}</span>
      <div class="strip-line">
        {groups.map(({ at, marks: together }) => {
          const worst = together.find((mark) => mark.tone === "bad") ?? together.find((mark) => mark.tone === "warn") ?? together.at(-1);
          if (!worst) return null;
          const title = together.map((mark) => `${clock(mark.at)} ${mark.text}`).join("\n");
          const place = { left: `${at * 100}%` };
          const content = <><Icon name={worst.tone} /><span class="visually-hidden">{title}</span></>;
          return worst.href === null
            ? <span key={worst.id} class={`mark ${worst.tone}`} style={place} title={title}>{content}</span>
            : <a key={worst.id} class={`mark ${worst.tone}`} style={place} title={title} href={href(worst.href)}>{content}</a>;
        })}
        {groups.length === 0 ? <span class="strip-none">nothing changed in this time</span> : null}
      </div>
      <span class="strip-edge" title={utc(to * 1000)}>{range.value.isLive ? "now" : clock(to * 1000)}</span>
    </div>
  );
}
