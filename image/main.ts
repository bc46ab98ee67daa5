/**
 * `make image`: the image of Adaptlet for each architecture, without docker, without a base image and without being root.
 * `node image/main.ts [ARCH…] [--folder FOLDER]`; default: all, into dist/image.
 * `node image/main.ts ARCH --rootfs FOLDER` writes the files of an image, for the Containerfile.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ArchitectureName, architectureNames } from './architecture.ts';
import { buildImages } from './build.ts';
import { makeImage } from './made-image.ts';
import { writeRootfs } from './rootfs/write-rootfs.ts';
import { root } from './source.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { folder: { type: 'string', default: join(root, 'dist/image') }, rootfs: { type: 'string' } },
});

const isArchitecture = (name: string): name is ArchitectureName =>
  (architectureNames as readonly string[]).includes(name);

const unknown = positionals.find((name) => !isArchitecture(name));
const archs = positionals.filter(isArchitecture);
const [only] = archs;
if (unknown !== undefined) {
  process.stderr.write(`there is no image for ${unknown}: use ${architectureNames.join(', ')}\n`);
  process.exitCode = 2;
} else if (values.rootfs === undefined) {
  await buildImages({
    archs: archs.length === 0 ? architectureNames : archs,
    folder: values.folder,
    say: (line) => process.stdout.write(`==> ${line}\n`),
  });
} else if (only === undefined || archs.length > 1) {
  process.stderr.write(`--rootfs is for one of ${architectureNames.join(', ')}\n`);
  process.exitCode = 2;
} else {
  await writeRootfs((await makeImage(only)).layers, values.rootfs);
}
