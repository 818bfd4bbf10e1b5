// A table: sticky head, sortable columns (the order is in the URL), numbers to the right, rows that can be links.
import type { ComponentChildren } from "preact";
import { query, setQuery } from "../router";
import { sortRows } from "./sort";

export interface Column<Row> {
  name: string;
  /** What the row is sorted by; without it the column can't be sorted. */
  by?: (row: Row) => string | number | null;
  isNumber?: boolean;
  cell: (row: Row) => ComponentChildren;
}

interface Props<Row> {
  /** Names the table for those who can't see it, and its order in the URL. */
  label: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  id: (row: Row) => string | number;
}

export function Table<Row>({ label, columns, rows, id }: Props<Row>) {
  const parameter = `sort.${label.toLowerCase().replaceAll(" ", "-")}`;
  const [name, direction] = (query.value.get(parameter) ?? "").split(":");
  const sorted = sortRows(rows, columns.find((column) => column.name === name)?.by, direction === "down");
  const sort = (column: Column<Row>) => {
    const next = column.name !== name ? `${column.name}:up` : direction === "up" ? `${column.name}:down` : null;
    setQuery({ [parameter]: next });
  };
  return (
    <div class="table" tabIndex={0} role="group" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => {
              const order = column.name !== name ? "none" : direction === "down" ? "descending" : "ascending";
              return (
                <th key={column.name} scope="col" class={column.isNumber ? "number" : ""} aria-sort={column.by ? order : undefined}>
                  {column.by
                    ? <button type="button" class="sort" onClick={() => sort(column)}>{column.name}<span aria-hidden="true">{order === "none" ? "" : order === "ascending" ? " ↑" : " ↓"}</span></button>
                    : column.name}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={id(row)}>
              {columns.map((column) => <td key={column.name} class={column.isNumber ? "number" : ""}>{column.cell(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
