import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import packageLock from '../../package-lock.json' with { type: 'json' };
import { unbundled } from './packages.ts';

const root = join(import.meta.dirname, '../..');

/** A package of npm of which something is in the image. */
export type BundledPackage = {
  readonly name: string;
  readonly version: string;
  /** SPDX expression, as the package states it. */
  readonly licence: string;
  /** The file that it brings; undefined where it brings none. */
  readonly licenceText: string | undefined;
  /** Subresource integrity of its archive. */
  readonly integrity: string;
};

type Stated = { readonly name: string; readonly version: string; readonly license?: string };

const readPackage = (path: string): BundledPackage => {
  const folder = join(root, path);
  const {
    name,
    version,
    license = 'NOASSERTION',
  } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Stated;
  const file = readdirSync(folder).find((one) => /^(licen[sc]e|copying)/i.test(one));
  const locked = packageLock.packages as Readonly<
    Record<string, { readonly integrity?: string } | undefined>
  >;
  const integrity = locked[path]?.integrity;
  if (integrity === undefined) throw new Error(`package-lock.json has no integrity of ${path}`);
  return {
    name,
    version,
    licence: license,
    licenceText: file === undefined ? undefined : readFileSync(join(folder, file), 'utf8').trim(),
    integrity,
  };
};

/** The package of a file: `node_modules/a/node_modules/@b/c/index.js` is of `node_modules/a/node_modules/@b/c`. */
const packagePath = (file: string): string | undefined =>
  /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];

/** The packages that the files belong to, and those that lie beside the bundle; sorted, each version once. */
export const packagesOf = (inputs: readonly string[]): readonly BundledPackage[] => {
  const paths = new Set<string>(unbundled.map((name) => `node_modules/${name}`));
  for (const input of inputs) {
    const path = packagePath(input);
    if (path !== undefined) paths.add(path);
  }
  const packages = new Map([...paths].map(readPackage).map((one) => [`${one.name}@${one.version}`, one]));
  return [...packages.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
};
