/**
 * `make image`: the image of Adaptlet for each architecture, without docker, without a base image and without being root.
 * `node image/main.ts [ARCH…] [--folder FOLDER]`; default: all, into dist/image.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ArchitectureName, architectureNames } from './architecture.ts';
import { buildImages } from './build.ts';
import { root } from './source.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { folder: { type: 'string', default: join(root, 'dist/image') } },
});

const isArchitecture = (name: string): name is ArchitectureName =>
  (architectureNames as readonly string[]).includes(name);

const unknown = positionals.find((name) => !isArchitecture(name));
if (unknown !== undefined) {
  process.stderr.write(`there is no image for ${unknown}: use ${architectureNames.join(', ')}\n`);
  process.exitCode = 2;
} else {
  const archs = positionals.filter(isArchitecture);
  await buildImages({
    archs: archs.length === 0 ? architectureNames : archs,
    folder: values.folder,
    say: (line) => process.stdout.write(`==> ${line}\n`),
  });
}
