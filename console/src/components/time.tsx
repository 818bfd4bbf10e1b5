// Times: relative, with the exact one in UTC on hover.
import { clock, relative, utc } from "../format";
import { now } from "../live/store";

export function Ago({ at }: { at: number }) {
  return <time dateTime={new Date(at).toISOString()} title={`${utc(at)}`}>{relative(at, now.value)}</time>;
}

export function ClockTime({ at }: { at: number }) {
  return <time dateTime={new Date(at).toISOString()} title={`${utc(at)}`}>{clock(at)}</time>;
}
