/** A table of Markdown; what a cell has in it never ends it. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] => {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)];
};

/** Text as code; nothing when there is none. */
export const code = (text: string): string => (text === '' ? '' : `\`${text}\``);
