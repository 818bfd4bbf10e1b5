// A share of something that is in use: bar, figure, detail. The figure says it all; the bar is for the eye.
import type { Meter as Shown } from "../words/hosts";
import { Status } from "./icon";

export function Meter({ meter }: { meter: Shown }) {
  const { name, share, text, detail, tone } = meter;
  return (
    <div class="meter">
      <span class="meter-name">{name}</span>
      {share === null ? <span /> : <progress class={tone} max={1} value={share} aria-label={`${name} in use`} />}
      <span class="meter-text">{tone === "ok" || tone === "calm" ? text : <Status tone={tone} word={text} />}</span>
      <span class="soft meter-detail">{detail}</span>
    </div>
  );
}

/** For a cell of a table: the share alone, the rest on hover. */
export function Share({ meter }: { meter: Shown | undefined }) {
  if (meter === undefined || meter.share === null) return <>–</>;
  const word = `${Math.round(meter.share * 100)} %`;
  const title = [meter.text, meter.detail].filter(Boolean).join(", ");
  return meter.tone === "ok" ? <span title={title}>{word}</span> : <Status tone={meter.tone} word={word} title={title} />;
}
