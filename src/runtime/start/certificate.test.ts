import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { clearKeys } from './certificate.ts';

const others = ['plan.json', 'plan.json.0a1b2c3d.tmp', 'serving.pem-of-mine'];
const log = { warn: vi.fn() };
let dataDir: string;
let folder: string;
beforeEach(async () => {
  vi.clearAllMocks();
  dataDir = folderOfTest();
  folder = join(dataDir, 'state');
  await mkdir(folder);
  for (const name of ['serving.pem', 'serving.pem.0a1b2c3d.tmp', ...others])
    await writeFile(join(folder, name), 'x');
});
const left = async () => (await readdir(folder)).sort();

describe('keys of certificates of the operator', () => {
  it('are one: what a write left that was cut short goes at the next start', async () => {
    await clearKeys({ tls: 'operator', dataDir }, log);
    expect(await left()).toEqual([...others, 'serving.pem'].sort());
  });

  it('are none where the ports show none of its certificates any more', async () => {
    await clearKeys({ tls: 'auto', dataDir }, log);
    expect(await left()).toEqual(others);
  });

  it('keep no runtime from its start: a data folder that is new, or whose disk fails', async () => {
    await rm(folder, { recursive: true });
    await clearKeys({ tls: 'auto', dataDir }, log);
    expect(log.warn).not.toHaveBeenCalled();
    await writeFile(folder, 'no folder');
    await clearKeys({ tls: 'auto', dataDir }, log);
    expect(log.warn).toHaveBeenCalledTimes(1);
  });
});
