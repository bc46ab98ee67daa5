import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { makeImage } from '../../image/made-image.ts';
import { cachedFolder, sha256 } from '../../image/materials/cache.ts';
import { applicationFolder } from '../../image/rootfs/runtimes.ts';
import { writeRootfs } from '../../image/rootfs/write-rootfs.ts';
import { operatorPath } from '../../native/build-operator.ts';
import { emulatedNode } from '../support/emulated.ts';
import { cacheFolder } from '../tools/cache.ts';

const run = promisify(execFile);

/** What Vitest itself runs on, which is this machine's Node. */
const vitestBinding = 'node_modules/@rolldown/binding-linux-x64-gnu';

/** Packages of npm as package-lock.json names them, with the native parts for arm64. */
const installPackages = async (root: string, folder: string): Promise<void> => {
  for (const name of ['package.json', 'package-lock.json'])
    await copyFile(join(root, name), join(folder, name));
  const arm64 = ['--os=linux', '--cpu=arm64', '--libc=glibc'];
  await run('npm', ['ci', ...arm64, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
  });
  await cp(join(root, vitestBinding), join(folder, vitestBinding), { recursive: true });
};

/** Every file that git knows or would take, as it is now. */
const copyFiles = async (root: string, folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    if (name !== 'node_modules') await rm(join(folder, name), { recursive: true });
  }
  const listed = await run('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  for (const file of listed.stdout.split('\0')) {
    if (file === '' || !existsSync(join(root, file))) continue;
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await copyFile(join(root, file), join(folder, file));
  }
};

export type Arm64Copy = {
  readonly folder: string;
  /** Of the image. */
  readonly rootfs: string;
  /** A module that gives a Node of this machine child processes that are emulated. */
  readonly preload: string;
};

/**
 * A copy of the working tree in the user's cache, in which `node` is that of the image for arm64, run by QEMU, with the
 * libraries of the image, the native operator among them. The packages and the libraries are fetched once.
 */
export const arm64Copy = async (root: string, say: (line: string) => void): Promise<Arm64Copy> => {
  say('Node and libraries of the image for arm64, QEMU of Debian');
  const { layers } = await makeImage('arm64');
  const key = sha256(layers.map(({ diffId }) => diffId).join(' ')).slice(0, 16);
  const rootfs = await cachedFolder(join(cacheFolder('arm64'), `rootfs-${key}`), (draft) =>
    writeRootfs(layers, draft),
  );
  const lock = sha256(await readFile(join(root, 'package-lock.json'))).slice(0, 16);
  const folder = join(cacheFolder('arm64'), `copy-${lock}`);
  if (!existsSync(folder)) say('packages of npm for arm64 (about two minutes, once)');
  await cachedFolder(folder, (draft) => installPackages(root, draft));
  await copyFiles(root, folder);
  const operator = operatorPath('arm64');
  await mkdir(dirname(join(folder, operator)), { recursive: true });
  await copyFile(join(rootfs, applicationFolder, operator), join(folder, operator));
  const { command, preload } = await emulatedNode(rootfs, join(folder, 'node_modules/.bin'));
  const node = join(folder, 'node_modules/.bin/node');
  await writeFile(node, `#!/bin/sh\nexec ${command.map((part) => `'${part}'`).join(' ')} "$@"\n`);
  await chmod(node, 0o755);
  return { folder, rootfs, preload };
};
