import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../support/process.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);

it('the demo of a cluster shows everything that it promises, and leaves nothing behind', async () => {
  const mark = randomUUID();
  const temporary = folderOfTest();
  /** Processes that the demo started, however deep: they inherit its environment. */
  const processes = async (): Promise<string[]> => {
    const { stdout } = await run('ps', ['axeww', '-o', 'pid=,args='], { maxBuffer: 64 << 20 });
    return stdout.split('\n').filter((line) => line.includes(mark));
  };
  const demo = run(process.execPath, [join(repositoryRoot, 'test/demo/cluster.ts')], {
    env: { ...process.env, DEMO_MARK: mark, TMPDIR: temporary },
    timeout: 300_000,
    killSignal: 'SIGKILL',
  });
  let hasEnded = false;
  const ended = demo.finally(() => {
    hasEnded = true;
  });
  ended.catch(() => undefined); // thrown below

  // Itself, etcd, the API server, its controllers, two replicas, three runtimes with an engine each.
  await waitFor('all of it', async () => hasEnded || (await processes()).length >= 12, 120_000);
  const { stdout } = await ended.catch((error: unknown) => {
    const { stdout: said, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`the demo did not end well; it said:\n${said}\n${stderr}`, { cause: error });
  });
  const [, good, all] = /(\d+) of (\d+) as promised/.exec(stdout) ?? [];
  expect(Number(all)).toBeGreaterThanOrEqual(10);
  expect(good).toBe(all);
  expect(stdout).not.toContain('NOT OK');

  expect(await processes()).toEqual([]);
  // ONNX Runtime leaves files of its own.
  const left = (await readdir(temporary)).filter((name) => name.startsWith('adaptlet-'));
  const inMemory = await readdir('/dev/shm').catch(() => []);
  left.push(...inMemory.filter((name) => name.startsWith(`adaptlet-cluster-${demo.child.pid}-`)));
  expect(left).toEqual([]);
});
