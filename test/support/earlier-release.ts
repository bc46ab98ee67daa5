import { spawnSync } from 'node:child_process';
import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import release from './earlier-release.json' with { type: 'json' };
import { repositoryRoot } from './process.ts';

const parts = [
  'bin',
  'src',
  'proto',
  'crds',
  'charts',
  'image',
  'LICENSE',
  'package.json',
  'package-lock.json',
];

/** What {@link extractEarlierRelease} extracts. */
export const earlierRelease: { readonly version: string; readonly commit: string } = release;

/**
 * The sources of the release before this tree, in a new folder, with the packages of this tree.
 * @throws the clone has no such commit, as a shallow one
 */
export const extractEarlierRelease = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), `adaptlet-${release.version}-`));
  const archive = spawnSync('git', ['archive', '--format=tar', release.commit, ...parts], {
    cwd: repositoryRoot,
    maxBuffer: 256 * 1024 ** 2,
  });
  if (archive.status !== 0) {
    throw new Error(
      `git archive of ${release.version} failed; a shallow clone lacks it: ${String(archive.stderr)}`,
    );
  }
  const tar = spawnSync('tar', ['-x', '-C', folder], { input: archive.stdout });
  if (tar.status !== 0) throw new Error(`tar failed: ${String(tar.stderr)}`);
  await symlink(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'));
  return folder;
};
