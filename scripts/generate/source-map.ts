import { forbidden, layers } from '../lint/layers.ts';
import { code, table } from './table.ts';

const mapOf = (parent: string): readonly string[] => {
  const ordered = layers[parent] ?? [];
  const rows = ordered
    .flatMap((layer, i) =>
      Object.entries(layer).map(([name, what]) => [
        `${i + 1}`,
        `[${name}](${`${parent}/${name}`.slice('src/'.length)})`,
        what,
      ]),
    )
    .toReversed();
  return [`## ${parent}`, '', ...table(['layer', 'folder', 'what it is'], rows), ''];
};

/** src/README.md: the folders of the code in their layers. */
export const sourceMap = async (): Promise<ReadonlyMap<string, string>> => {
  const never = forbidden.map(
    ([folder, imported, why]) => `${code(folder)} never imports ${code(imported)}: ${why}.`,
  );
  const page = [
    '# The code',
    '',
    '<!-- Generated from scripts/lint/layers.ts by `make gen`. -->',
    '',
    'A folder imports from lower layers, and from no neighbour in its own layer.',
    'Files directly in a folder put its parts together. Tests may import everything. Lint checks all of it.',
    ...never,
    '',
    ...Object.keys(layers).flatMap(mapOf),
  ];
  return new Map([['src/README.md', `${page.join('\n').trimEnd()}\n`]]);
};
