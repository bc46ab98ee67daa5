import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { BundledPackage } from '../bundle/bundled-packages.ts';
import { copied, type Entry, link, text } from './entry.ts';
import { applicationFolder } from './runtimes.ts';

const root = join(import.meta.dirname, '../..');
const main = 'main.mjs';

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));

/** Names, versions and licences of what is bundled, with the texts that their packages bring. */
const licences = (packages: readonly BundledPackage[]): string =>
  packages
    .map(({ name, version, licence, licenceText }) =>
      [
        `${name} ${version}`,
        `Licence: ${licence}`,
        ...(licenceText === undefined ? [] : ['', licenceText]),
      ].join('\n'),
    )
    .join(`\n\n${'-'.repeat(80)}\n\n`)
    .concat('\n');

/** The bundle; `adaptlet` in the PATH is its main program, run by Node without a shell. */
export const applicationLayer = (bundle: string, packages: readonly BundledPackage[]): readonly Entry[] => [
  ...filesBelow(bundle)
    .filter((file) => file !== main)
    .map((file) => copied(`${applicationFolder}/${file}`, join(bundle, file))),
  {
    kind: 'file',
    path: `${applicationFolder}/${main}`,
    mode: 0o755,
    content: {
      kind: 'bytes',
      bytes: Buffer.concat([
        Buffer.from('#!/usr/bin/node --v8-pool-size=0\n'),
        readFileSync(join(bundle, main)),
      ]),
    },
  },
  link('usr/bin/adaptlet', `../lib/adaptlet/${main}`),
  copied('usr/share/doc/adaptlet/LICENSE', join(root, 'LICENSE')),
  text('usr/share/doc/adaptlet/third-party-licenses.txt', licences(packages)),
];
