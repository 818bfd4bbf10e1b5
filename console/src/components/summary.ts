// The figures of a legend. Pure.

export function summary(values: readonly number[]): { min: number | null; max: number | null; mean: number | null } {
  if (values.length === 0) return { min: null, max: null, mean: null };
  let [min, max, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { min, max, mean: sum / values.length };
}
