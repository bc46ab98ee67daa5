import { dirname, join, relative } from 'node:path';
import { forbidden, layers } from './layers.ts';

/** Tests and what only they use may look at everything. */
const isOfTests = (file: string): boolean =>
  /(\.test|\.fixture)\.ts$|(^|\/)(testing\/|fake-[^/]*\.ts$)/.test(file);

/** What is wrong with an import, both files as paths from the root of the project; undefined: nothing is. */
export const wrongImport = (from: string, to: string): string | undefined => {
  if (isOfTests(from)) return undefined;
  for (const [folder, imported, why] of forbidden)
    if (from.startsWith(`${folder}/`) && to.startsWith(`${imported}/`))
      return `${folder} never imports ${imported}: ${why}.`;
  for (const [parent, ordered] of Object.entries(layers)) {
    if (!from.startsWith(`${parent}/`) || !to.startsWith(`${parent}/`)) continue;
    const nameOf = (file: string): string => file.slice(parent.length + 1).split('/')[0] ?? '';
    const heightOf = (name: string): number => {
      const index = ordered.findIndex((layer) => Object.hasOwn(layer, name));
      return index < 0 && name.endsWith('.ts') ? ordered.length : index;
    };
    const [importer, imported] = [nameOf(from), nameOf(to)];
    if (importer === imported) continue;
    for (const name of [importer, imported])
      if (heightOf(name) < 0)
        return `${parent}/${name} is in no layer: say in scripts/lint/layers.ts where it belongs.`;
    const isAboveAll = heightOf(importer) === ordered.length;
    if (!isAboveAll && heightOf(imported) >= heightOf(importer))
      return `${parent}/${importer} does not import ${parent}/${imported}: imports point down (src/README.md).`;
  }
  return undefined;
};

type Context = {
  readonly filename: string;
  readonly cwd: string;
  report(problem: { readonly node: unknown; readonly message: string }): void;
};
type Importing = { readonly source?: { readonly value?: unknown } | null };

/** An oxlint rule: {@link wrongImport} for each import and export of a file. */
export const importsPointDown = {
  create(context: Context) {
    const from = relative(context.cwd, context.filename);
    const check = (node: Importing): void => {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const message = wrongImport(from, join(dirname(from), specifier));
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};
