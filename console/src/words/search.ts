// What a search finds. Pure.

/** Every word must be in the text or the kind; those that begin with the first word come first. */
export function search<Item extends { kind: string; text: string }>(all: readonly Item[], text: string): Item[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = all.filter((item) => words.every((word) => `${item.text} ${item.kind}`.toLowerCase().includes(word)));
  const first = words[0] ?? "";
  return matching.toSorted((a, b) => Number(b.text.toLowerCase().startsWith(first)) - Number(a.text.toLowerCase().startsWith(first)));
}
