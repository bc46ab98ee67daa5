import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { buildPlugin } from '../../../scripts/plugin/build.ts';
import { isOwn, nameOf, platforms } from '../../../scripts/plugin/platforms.ts';
import { type Cluster, sharedCluster, toolPath } from '../../cluster/index.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';

const run = promisify(execFile);

const build = async (out: string): Promise<void> => {
  const wanted = platforms.filter((platform) => isOwn(platform) || platform.form === 'script');
  const baseUrl = 'https://downloads.example.invalid/v0';
  await buildPlugin({ out, platforms: wanted, baseUrl, say: () => undefined });
};

const own = platforms.find(isOwn);

// Without an executable for the platform of the test there is nothing to run.
describe.skipIf(own?.form !== 'executable')('kubectl adaptlet as one file', () => {
  const folder = folderOfTests();
  let installed: string;
  let cluster: Cluster;
  let namespace: string;
  beforeAll(async () => {
    installed = join(folder, 'installed');
    cluster = await sharedCluster();
    namespace = await cluster.createNamespace('package');
    await cluster.kubectlOk(
      ['-n', namespace, 'apply', '-f', '-'],
      rolloutYaml('shout', 'upper', '{pause: {}}'),
    );
    await build(join(folder, 'first'));
    await mkdir(installed);
    const archive = `kubectl-adaptlet_v${packageJson.version}_${own === undefined ? '' : nameOf(own)}.tar.gz`;
    await run('tar', ['-xzf', join(folder, 'first', archive), '-C', installed]);
  });

  /** The real kubectl, in an empty folder, with the plug-in and nothing else in the PATH: no node. */
  const kubectl = async (...args: readonly string[]): Promise<string> => {
    const empty = await mkdtemp(join(folder, 'empty-'));
    // Only completion is a script, which needs a shell's own programs.
    const path = args[0] === '__complete' ? `${installed}:/usr/bin:/bin` : installed;
    const env = { PATH: path, KUBECONFIG: cluster.kubeconfig };
    const { stdout } = await run(await toolPath('kubectl'), args, { cwd: empty, env });
    return stdout;
  };

  it('runs in an empty folder, without node and without a checkout, on a real API server', async () => {
    await expect(run('node', ['-v'], { env: { PATH: installed } })).rejects.toThrow('ENOENT');
    expect(await kubectl('adaptlet', '--version')).toBe(`${packageJson.version}\n`);
    expect(await kubectl('adaptlet', 'list', '-n', namespace)).toMatch(/\nshout +Unknown /);
    const tree = await kubectl('adaptlet', 'get', 'rollout', 'shout', '-n', namespace);
    expect(tree).toContain('no decision was made yet');
    // xxHash is compiled in another way than in a checkout.
    expect(await kubectl('adaptlet', 'who-gets', 'shout', '--user', 'u', '-n', namespace)).toContain(
      'no stable',
    );
    expect(await kubectl('__complete', 'adaptlet', 'pro')).toContain('promote');
  });

  it('is built the same a second time', async () => {
    await build(join(folder, 'second'));
    const read = (name: string) => readFile(join(folder, name, 'SHA256SUMS'), 'utf8');
    const sums = await read('first');
    expect(await read('second')).toBe(sums);
    for (const line of sums.trim().split('\n')) {
      const [sum = '', file = ''] = line.split('  ');
      const bytes = await readFile(join(folder, 'first', file));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sum);
    }
  });

  it('runs as a script where Node is there, and says when that is too old', async () => {
    const scripts = join(folder, 'scripts');
    await mkdir(scripts);
    const archive = `kubectl-adaptlet_v${packageJson.version}_darwin-arm64.tar.gz`;
    await run('tar', ['-xzf', join(folder, 'first', archive), '-C', scripts]);
    const script = join(scripts, 'kubectl-adaptlet');
    expect((await readFile(script, 'utf8')).startsWith('#!/usr/bin/env node\n')).toBe(true);
    expect((await run(process.execPath, [script, '--version'])).stdout).toBe(`${packageJson.version}\n`);
    const older =
      'Object.defineProperty(process, "versions", {value: {...process.versions, node: "22.1.0"}})';
    const told = run(process.execPath, [
      '--import',
      `data:text/javascript,${encodeURIComponent(older)}`,
      script,
    ]);
    await expect(told).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/needs Node 24 or newer/),
    });
  });
});
