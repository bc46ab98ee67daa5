/**
 * `node test/cluster/lab/build.ts` brings what the nodes of a lab are made of into the user's cache, ahead of a test run:
 * Debian's packages, and containerd's store of our own images.
 */
import { imageStore } from './image-store.ts';
import { ownImages } from './images.ts';
import { labObstacles } from './machine.ts';
import { nodePackages } from './packages.ts';

const obstacles = labObstacles();
if (obstacles.length > 0) {
  process.stderr.write(`this machine can run no nodes: ${obstacles.join('; ')}\n`);
} else {
  process.stdout.write(`packages ${await nodePackages()}\nimages ${await imageStore(await ownImages())}\n`);
}
