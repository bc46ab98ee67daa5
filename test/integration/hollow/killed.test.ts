import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../src/api/names.ts';
import { HollowFleet, type HollowFleetOptions } from '../../hollow/hosts.ts';
import { quick } from '../../hollow/ports.ts';
import { repositoryRoot } from '../../support/process.ts';
import { waitFor } from '../../support/wait.ts';

const digest = `sha256:${'b'.repeat(64)}` as Digest;
const options: HollowFleetOptions = {
  addresses: [],
  caFile: '',
  model: { name: 'tiny', source: '/models/tiny', digest, manifestDigest: '' },
  behaviour: quick,
  runtimes: [{ namespace: 'default', name: 'hollow-0', tokenFile: '', serves: 'Node' }],
};

/** Starts what a bench of a fleet starts, writes the process ids and waits to be killed. */
const doomed = (tree: string): string => `
  const { HollowFleet } = await import(${JSON.stringify(join(repositoryRoot, 'test/hollow/hosts.ts'))});
  const { AdaptletProcess } = await import(${JSON.stringify(join(repositoryRoot, 'test/support/process.ts'))});
  const hollows = await HollowFleet.open(${JSON.stringify(options)});
  const started = { settings: {}, tree: ${JSON.stringify(tree)}, endWithUs: true };
  const operator = await AdaptletProcess.start('operator', started);
  console.log(JSON.stringify([...hollows.pids, operator.pid]));
  setInterval(() => undefined, 1000);
`;

/** A tree whose program says that it listens, and goes on. */
const idleTree = async (): Promise<string> => {
  const tree = await mkdtemp(join(tmpdir(), 'adaptlet-idle-'));
  await mkdir(join(tree, 'bin'));
  const program = join(tree, 'bin/adaptlet');
  await writeFile(program, "#!/bin/sh\necho '{}'\nexec sleep 600\n");
  await chmod(program, 0o755);
  return tree;
};

describe.skipIf(process.platform !== 'linux')('a bench of a fleet that is killed', () => {
  it('leaves no process behind, and no folder once the next one starts', async () => {
    const tree = await idleTree();
    try {
      const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', doomed(tree)];
      const bench = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const line = await new Promise<string>((resolve, reject) => {
        createInterface({ input: bench.stdout }).once('line', resolve);
        bench.once('exit', () => reject(new Error('it ended')));
      });
      const pids = JSON.parse(line) as number[];
      const left = async (): Promise<readonly string[]> =>
        (await readdir('/dev/shm')).filter((name) => name.startsWith(`adaptlet-cluster-${bench.pid}-`));
      expect(pids).toHaveLength(2);
      expect(await left()).toHaveLength(1);
      bench.kill('SIGKILL');
      await waitFor('all processes to end', () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
      await (await HollowFleet.open(options))[Symbol.asyncDispose]();
      expect(await left()).toEqual([]);
    } finally {
      await rm(tree, { recursive: true, force: true });
    }
  });
});
