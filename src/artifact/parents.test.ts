import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { startDiskThread } from './disk-thread.ts';
import { defaultLimits } from './manifest.ts';
import { packFolder } from './pack.ts';
import { parentsAnnotation, parentsFile } from './parents.ts';

let folder: string;
beforeEach(async () => {
  folder = folderOfTest();
  await writeFile(join(folder, 'adapter_config.json'), '{}');
});

const manifest = async (): Promise<{ readonly annotations?: Readonly<Record<string, string>> }> => {
  await using disk = startDiskThread();
  const packed = await packFolder(folder, {
    disk,
    limits: defaultLimits,
    signal: new AbortController().signal,
  });
  return JSON.parse(Buffer.from(packed.manifest).toString()) as ReturnType<typeof manifest>;
};

it('puts the parents of a composed adapter into its manifest, as far as it has any', async () => {
  expect((await manifest()).annotations?.[parentsAnnotation]).toBeUndefined();
  const parents = { method: 'cat', parents: [{ digest: fakeDigest('a'), weight: -0.5 }] };
  await writeFile(join(folder, parentsFile), JSON.stringify(parents, undefined, 2));
  const { annotations = {} } = await manifest();
  expect(JSON.parse(annotations[parentsAnnotation]!)).toEqual(parents);
});

it.each([
  '',
  '[]',
  '{"method":"cat","parents":[{"digest":"x","weight":1}]}',
  '{"method":"cat","parents":[],"x":1}',
])('refuses a file of that name that says something else: %s', async (text) => {
  await writeFile(join(folder, parentsFile), text);
  expect(await codeOf(manifest)).toBe('ARTIFACT_FILE_REFUSED');
});
