import { stripVTControlCharacters } from 'node:util';

/** Columns that a text takes on a terminal, without its colours. */
export const widthOf = (text: string): number => Array.from(stripVTControlCharacters(text)).length;

const gap = 3;

/** Rows of texts, which may have colours, each column as wide as it must be. */
export const inColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(text));
  const padded = (text: string, i: number): string =>
    text + ' '.repeat(Math.max(0, (widths[i] ?? 0) + gap - widthOf(text)));
  return rows.map((row) => row.map(padded).join('').trimEnd());
};

/** The text in at most so many columns; for texts without colours. */
export const cutTo = (text: string, width: number): string => {
  const letters = Array.from(text);
  return letters.length <= width
    ? text
    : `${letters
        .slice(0, Math.max(0, width - 1))
        .join('')
        .trimEnd()}…`;
};
