import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { folderOfTest } from '../test/support/temporary-folder.ts';

it('ends well with one line where there is no C compiler, so that demo and tests go on', async () => {
  const { CC: _, ...env } = process.env;
  const said = await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'build.ts')], {
    env: { ...env, PATH: folderOfTest() },
  });
  expect(said).toEqual({
    stdout:
      '==> no native operator: there is no C compiler cc; adapters take the portable way, one adapter a step (README, "The native operator")\n',
    stderr: '',
  });
});
