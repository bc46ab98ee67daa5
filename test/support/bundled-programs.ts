import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { bundle } from '../../image/bundle/bundle.ts';
import { bundleKey } from '../../image/bundle/cached-bundle.ts';
import { unbundled } from '../../image/bundle/packages.ts';
import { cachedFolder, sha256 } from '../../image/materials/cache.ts';
import { modules as webAssembly } from '../../native/modules.ts';
import { bundlePlugin } from '../../scripts/plugin/bundle.ts';
import { programFolderVariable, repositoryRoot } from './process.ts';

const modules = join(repositoryRoot, 'node_modules');
const cache = join(modules, '.cache/programs');
/** What was made of other sources is kept so long: another run may use it. */
const keptMs = 86_400_000;

/** kubectl looks for it beside the plug-in. */
const completion = 'kubectl_complete-adaptlet';

const writeProgram = async (path: string, script: string, flags = ''): Promise<void> => {
  const node = join(modules, '.bin/node');
  await writeFile(path, `#!/bin/sh\nexec "${node}"${flags} "${script}" "$@"\n`);
  await chmod(path, 0o755);
};

/** `folder`: where `draft` will be. */
const fill = async (draft: string, folder: string, plugin: Uint8Array): Promise<void> => {
  const application = join(draft, 'application');
  await bundle(application);
  for (const name of [...unbundled, '@koromix'])
    await symlink(join(modules, name), join(application, 'node_modules', name));
  await mkdir(join(application, 'native'));
  for (const name of ['build', ...webAssembly.map(({ name: module }) => module)])
    await symlink(join(repositoryRoot, 'native', name), join(application, 'native', name));
  await writeFile(join(draft, 'kubectl-adaptlet.cjs'), plugin);
  await copyFile(join(repositoryRoot, 'bin', completion), join(draft, completion));
  await writeProgram(join(draft, 'adaptlet'), join(folder, 'application/main.mjs'), ' --v8-pool-size=0');
  await writeProgram(join(draft, 'kubectl-adaptlet'), join(folder, 'kubectl-adaptlet.cjs'));
};

/**
 * For the suites that start `adaptlet` and `kubectl-adaptlet` hundreds of times: they start them bundled, as images and
 * releases have them, which takes half the processor time of a start from 1,800 source files. Made anew for other sources;
 * not where the folder of the programs is given, such as `bin`.
 */
export const setup = async (): Promise<void> => {
  if (process.env[programFolderVariable] !== undefined) return;
  const { script } = await bundlePlugin();
  const others = [import.meta.filename, join(repositoryRoot, 'bin', completion)];
  const texts = await Promise.all(others.map((file) => readFile(file, 'utf8')));
  const folder = join(cache, sha256([await bundleKey(), sha256(script), ...texts].join('\0')).slice(0, 16));
  await cachedFolder(folder, (draft) => fill(draft, folder, script));
  const now = new Date();
  await utimes(folder, now, now);
  for (const name of await readdir(cache)) {
    const other = join(cache, name);
    const found = await stat(other).catch(() => undefined);
    if (found !== undefined && now.getTime() - found.mtimeMs > keptMs)
      await rm(other, { recursive: true, force: true });
  }
  process.env[programFolderVariable] = folder;
};
