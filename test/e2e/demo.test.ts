import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../support/process.ts';

it('the demo shows everything that it promises', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(repositoryRoot, 'test/demo/main.ts')]);
  const [, good, all] = /(\d+) of (\d+) as promised/.exec(stdout) ?? [];
  expect(Number(all)).toBeGreaterThanOrEqual(13);
  expect(good).toBe(all);
});
