import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { waitFor } from '../../../../test/support/wait.ts';

const module = new URL('./lifetime.ts', import.meta.url).href;
const started = async () => {
  const code = `import { endWithParent } from '${module}'; endWithParent(); console.log('ready');`;
  const child = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `${code} setInterval(() => {}, 1000);`,
  ]);
  const ended = once(child, 'exit');
  let said = '';
  child.stdout.on('data', (data: Buffer) => {
    said += String(data);
  });
  await waitFor('the process', () => said === 'ready\n');
  return { child, ended };
};

it('a process that is waited for ends with its parent, and not by what a terminal sends to both', async () => {
  const { child, ended } = await started();
  child.kill('SIGINT');
  child.kill('SIGTERM');
  child.stdin.end();
  expect(await ended).toEqual([1, null]);
});

it('a process that is done ends by itself', async () => {
  const code = `import { endWithParent } from '${module}'; endWithParent();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code]);
  expect(await once(child, 'exit')).toEqual([0, null]);
});
