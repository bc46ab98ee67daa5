import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { folderOfTests } from '../../support/temporary-folder.ts';
import type { Name } from './artifacts.ts';
import { copyPast } from './copy-past.ts';
import type { Promised } from './day.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { makePast, SmallNode } from './node.ts';
import { expectKept, expectSound, expectWorks } from './sound.ts';

const program = fileURLToPath(new URL('./child.ts', import.meta.url));

const root = folderOfTests();
beforeAll(async () => {
  await mkdir(join(root, 'graveyard'));
  await makePast(join(root, 'past'), new FaultyDisk(join(root, 'graveyard')));
});

/** Runs the node until it is killed; what it had promised then. */
const untilKilled = (folder: string, point: string, fault: string): Promise<Promised> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [program, folder, point, fault], (error, stdout, stderr) => {
      if (error?.signal !== 'SIGKILL') reject(new Error(`it was not killed: ${error?.message} ${stderr}`));
      else
        resolve(
          new Map(
            JSON.parse(stdout.trim().split('\n').at(-1) || '[]') as Iterable<
              [Name, 'granted' | 'signed' | 'removed']
            >,
          ),
        );
    });
  });

it.each([
  ['caution.write', 'torn'],
  ['tidy.remove-damaged', 'kill-after'],
  ['lock.link', 'kill-after'],
  ['blob.write', 'torn'],
  ['blob.rename', 'kill-after'],
  ['adapter.write-manifest', 'torn'],
  ['adapter.rename', 'kill-after'],
  ['adapter.unpack', 'torn'],
  ['grant.rename', 'kill'],
  ['compile.rename', 'kill-after'],
  ['quarantine.rename', 'kill-after'],
  ['forget.rename', 'kill-after'],
])(
  'a process that is killed with -9 at %s (%s) leaves a store that is sound and works',
  async (point, fault) => {
    const folder = join(root, `${point}-${fault}`);
    await mkdir(folder);
    copyPast(join(root, 'past'), join(folder, 'data'));
    const promised = await untilKilled(folder, point, fault);
    await mkdir(join(folder, 'after'));
    const node = await SmallNode.open(join(folder, 'data'), new FaultyDisk(join(folder, 'after')));
    await expectKept(node, promised);
    await expectSound(node, join(folder, 'data'));
    await expectWorks(node);
    expect(node.store.usage.usedBytes).toBeGreaterThan(0);
    await node.close();
  },
);
