// The few icons there are, drawn in a 16-pixel square with the text's colour. They always stand beside a word.
import type { Tone } from "../words/events";

const PATHS = {
  overview: "M2 2h5v6H2zM9 2h5v4H9zM9 8h5v6H9zM2 10h5v4H2z",
  applications: "M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6",
  deploys: "M8 14V3M4 7l4-4 4 4M3 14h10",
  hosts: "M2 2.5h12v4.5H2zM2 9h12v4.5H2zM4.5 4.75h.01M4.5 11.25h.01",
  images: "M8 2l6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
  traffic: "M1.5 8h3M11.5 4h3M11.5 12h3M4.5 8c4 0 3-4 7-4M4.5 8c4 0 3 4 7 4",
  activity: "M1.5 8.5h3l2-5 3 9 2-4h3",
  tokens: "M10.5 2a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM8 8l-6 6M4 12l1.5 1.5M10.5 5.5h.01",
  search: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2zM11 11l3.5 3.5",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  system: "M2 2.5h12v8H2zM6 14h4M8 10.5V14",
  copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
  out: "M6 2.5H2.5v11H6M10 4.5 13.5 8 10 11.5M13.5 8H6",
  ok: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5 8.2l2.2 2.2L11 6",
  warn: "M8 1.8 15 14H1zM8 6v4M8 12.2h.01",
  bad: "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2zM5.5 5.5l5 5M10.5 5.5l-5 5",
  info: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 7.5v4M8 4.8h.01",
  calm: "M8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Icon and word in a status colour; never the colour alone. */
export function Status({ tone, word, title }: { tone: Tone; word: string; title?: string | undefined }) {
  return (
    <span class={`status ${tone}`} title={title}>
      <Icon name={tone} />
      {word}
    </span>
  );
}
