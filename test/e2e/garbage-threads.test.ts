import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { enginePid, TestNode } from '../support/node.ts';
import { programFolder, repositoryRoot } from '../support/process.ts';
import { waitFor } from '../support/wait.ts';

const v8Threads = async (pid: number): Promise<number> => {
  const names = (await readdir(`/proc/${pid}/task`)).map((thread) =>
    // It can end meanwhile.
    readFile(`/proc/${pid}/task/${thread}/comm`, 'utf8').catch(() => ''),
  );
  return (await Promise.all(names)).filter((name) => name.trim() === 'V8Worker').length;
};

it('a node and its engine collect garbage with one thread fewer than there are cores', async () => {
  const node = await TestNode.start();
  try {
    const engine = await waitFor('the engine', () => enginePid(node));
    const most = Math.max(1, availableParallelism() - 1);
    expect(await v8Threads(node.pid)).toBe(most);
    expect(await v8Threads(engine)).toBe(most);
  } finally {
    await node.dispose();
  }
});

it.each([programFolder(), `${repositoryRoot}/bin`])('%s says so', async (folder) => {
  expect(await readFile(`${folder}/adaptlet`, 'utf8')).toContain(' --v8-pool-size=0 ');
});
