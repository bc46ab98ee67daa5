import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../tools/cache.ts';
import { goBuild, keyOf } from '../../tools/go-build.ts';
import { writeImage } from './oci-archive.ts';

/** Holds the namespaces of each pod. */
export const pauseImage = 'localhost/pause:lab';
/** Runs `workload serve` unless its arguments say otherwise: see workload/main.go. Every node has it. */
export const workloadImage = 'localhost/workload:lab';

const source = join(import.meta.dirname, 'workload');

/** Paths of the archives of the two images, which are one static program, built on first use. */
export const ownImages = async (): Promise<readonly string[]> => {
  const folder = join(cacheFolder('lab'), `own-${keyOf(source)}`);
  const program = join(folder, 'workload');
  if (!existsSync(program) && !(await goBuild({ name: 'workload', source, package: '.' }, program))) {
    throw new Error('no images for the nodes of a lab: install go (1.26 or newer) so that they can be built');
  }
  const images = [
    { name: pauseImage, args: ['pause'] },
    { name: workloadImage, args: ['serve'] },
  ];
  return Promise.all(
    images.map(async ({ name, args }) => {
      const archive = join(folder, `${args[0]}.tar`);
      if (!existsSync(archive)) await writeImage(archive, { name, program, args });
      return archive;
    }),
  );
};
