// The order of rows. Pure.

/** Stable; rows without a value come last in either direction. */
export function sortRows<Row>(rows: readonly Row[], by: ((row: Row) => string | number | null) | undefined, isDescending: boolean): readonly Row[] {
  if (!by) return rows;
  const sign = isDescending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [left, right] = [by(a), by(b)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    const order = typeof left === "number" && typeof right === "number"
      ? left - right
      : String(left).localeCompare(String(right), "en", { numeric: true });
    return sign * order;
  });
}
