import { join } from 'node:path';
import { nodePackage } from '../../image/materials/npm.ts';
import { nameOf, type Platform } from './platforms.ts';

/** Names of npm, and the program in the package. */
const systems = {
  'linux-amd64': { system: 'linux-x64', path: 'bin/node' },
  'linux-arm64': { system: 'linux-arm64', path: 'bin/node' },
  'windows-amd64': { system: 'win-x64', path: 'bin/node.exe' },
} as const;

/** Paths of the program, and of the licences that go with it. */
export type NodeBinary = { readonly program: string; readonly licence: string };

/**
 * The Node of a platform, out of npm's package for it: the one that is in the image.
 * @throws there is none for the platform; its archive is another than the one that is pinned
 */
export const nodeBinary = async (platform: Platform): Promise<NodeBinary> => {
  const name = nameOf(platform);
  if (!(name in systems)) throw new Error(`npm has no Node for ${name}`);
  const { system, path } = systems[name as keyof typeof systems];
  // The package for Windows has no licences; they are the same.
  const [own, linux] = await Promise.all([nodePackage(system), nodePackage('linux-x64')]);
  return { program: join(own.folder, path), licence: join(linux.folder, 'LICENSE') };
};
