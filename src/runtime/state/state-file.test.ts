import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { StateFile } from './state-file.ts';

const schema = z.object({ n: z.int() });
let folder: string;
beforeEach(() => {
  folder = folderOfTest();
});
const file = () => new StateFile(join(folder, 'x.json'), schema);

describe('StateFile', () => {
  it('is absent before the first write', async () => {
    expect(await file().read()).toEqual({ kind: 'absent' });
  });

  it('gives back what was written and leaves no temporary file', async () => {
    await file().write({ n: 7 });
    expect(await file().read()).toEqual({ kind: 'value', value: { n: 7 } });
    expect(await readdir(folder)).toEqual(['x.json']);
  });

  it('keeps the newest of many writes', async () => {
    const state = file();
    await Promise.all([1, 2, 3, 4].map((n) => state.write({ n })));
    expect(await file().read()).toEqual({ kind: 'value', value: { n: 4 } });
  });

  it.each([
    ['torn', (text: string) => text.slice(0, text.length / 2)],
    ['of other content than its checksum says', (text: string) => text.replace('7', '8')],
    ['of another version', (text: string) => text.replace('"format":1', '"format":2')],
    ['empty', () => ''],
  ])('sets a file aside that is %s, and goes on', async (_, damage) => {
    await file().write({ n: 7 });
    const path = join(folder, 'x.json');
    await writeFile(path, damage(await readFile(path, 'utf8')));
    expect(await file().read()).toMatchObject({ kind: 'setAside', setAside: `${path}.bad` });
    expect(await readdir(folder)).toEqual(['x.json.bad']);
    expect(await file().read()).toEqual({ kind: 'absent' });
  });

  it('sets a file aside whose content does not fit the schema', async () => {
    await new StateFile(join(folder, 'x.json'), z.object({ n: z.string() })).write({ n: 'seven' });
    expect(await file().read()).toMatchObject({ kind: 'setAside' });
  });

  it('clears away what a killed process was writing', async () => {
    await file().write({ n: 7 });
    await writeFile(join(folder, 'x.json.0123abcd.tmp'), '{"form');
    expect(await file().read()).toEqual({ kind: 'value', value: { n: 7 } });
    expect(await readdir(folder)).toEqual(['x.json']);
  });

  it('sets aside what the disk cannot read as a file', async () => {
    await mkdir(join(folder, 'x.json'));
    expect(await file().read()).toMatchObject({
      kind: 'setAside',
      reason: expect.stringContaining('EISDIR'),
    });
    await file().write({ n: 7 });
    expect(await file().read()).toEqual({ kind: 'value', value: { n: 7 } });
  });

  it('reports a write that fails and writes the next one', async () => {
    const state = new StateFile(join(folder, 'x.json', 'deep.json'), schema);
    await file().write({ n: 1 });
    await expect(state.write({ n: 2 })).rejects.toThrow(/EEXIST|ENOTDIR/);
    await rm(join(folder, 'x.json'));
    await state.write({ n: 3 });
    expect(await state.read()).toEqual({ kind: 'value', value: { n: 3 } });
  });
});
