import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { goBuild } from '../tools/go-build.ts';
import { archiveIsThere, unpackArchive } from './archive.ts';
import {
  type BinaryName,
  binaryFolder,
  binaryNames,
  binaryOf,
  cached,
  goProgram,
  linkPrograms,
  type ProgramName,
} from './programs.ts';

/**
 * The programs of a Kubernetes cluster, and helm, for tests. `node test/cluster/build.ts` brings them into the user's
 * cache when they are not there: from the archive beside the repository or from Go modules (see README.md);
 * `--from-source` builds them in any case.
 */
const build = async (binary: BinaryName): Promise<void> => {
  if (!(await goBuild(goProgram(binary), join(binaryFolder(binary), binary)))) {
    throw new Error(
      `no ${binary} for tests: install go (1.26 or newer) so that it can be built, or set KUBEBUILDER_ASSETS to a ` +
        'folder with etcd, kube-apiserver and kubectl',
    );
  }
  linkPrograms(binary);
};

const bringing = new Map<BinaryName, Promise<void>>();

/** One of the two ways to fill the cache; each binary is brought once for each process. */
const bring = (binary: BinaryName): Promise<void> => {
  const known = bringing.get(binary);
  if (known !== undefined) return known;
  if (!archiveIsThere()) {
    const result = build(binary);
    bringing.set(binary, result);
    return result;
  }
  const unpacked = unpackArchive(); // brings all of them
  for (const each of binaryNames) bringing.set(each, unpacked);
  return unpacked;
};

const fromAssets = (program: ProgramName): string | undefined => {
  const folder = process.env['KUBEBUILDER_ASSETS'];
  if (folder === undefined || folder === '') return undefined;
  const path = join(folder, program);
  return existsSync(path) ? path : undefined;
};

/**
 * Path of a program: from KUBEBUILDER_ASSETS, the user's cache, the archive beside the repository, or a build.
 * Throws when there is no way to get it.
 */
export const toolPath = async (program: ProgramName): Promise<string> => {
  const known = fromAssets(program) ?? cached(program);
  if (known !== undefined) return known;
  await bring(binaryOf(program));
  const path = cached(program);
  if (path === undefined) throw new Error(`${program} is not in ${binaryFolder(binaryOf(program))}`);
  return path;
};

if (import.meta.main) {
  const fromSource = process.argv.includes('--from-source');
  for (const binary of binaryNames) {
    if (fromSource) await build(binary);
    else if (cached(binary) === undefined) await bring(binary);
    process.stdout.write(`${binary} ${binaryFolder(binary)}\n`);
  }
}
