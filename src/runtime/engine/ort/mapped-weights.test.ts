import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { MappedWeights } from './mapped-weights.ts';

const fileOf = (bytes: number): (() => string) => {
  const path = join(folderOfTest(), 'weights');
  writeFileSync(path, Buffer.alloc(bytes));
  return () => path;
};
const weight = (name: string, offset: number, bytes: number) => ({
  name,
  dataType: 2,
  dims: [bytes],
  place: { location: 'weights', offset },
});

it('weights that begin behind the end of their file are refused', () => {
  expect(() => MappedWeights.open([weight('a', 4160, 64)], fileOf(4096))).toThrow(
    'weights has 4096 bytes, a is at 4160',
  );
});

it('weights are packed whole, or not at all, and once', async () => {
  const weights = MappedWeights.open([weight('a', 0, 4096)], fileOf(4096));
  const product = { inFeatures: 32, outFeatures: 16, bits: 4, block: 32, values: 'a', scales: 'a' } as const;
  const all = ['one', 'two'].map((name) => ({ ...product, name }));
  let packs = 0;
  const failing = {
    bytesOf: () => 64,
    pack: () => ((packs += 1) === 2 ? Promise.reject(new Error('no more')) : Promise.resolve()),
  };
  await expect(weights.pack(all, failing)).rejects.toThrow('no more');
  expect([...weights.values.keys()]).toEqual(['a']);
  await weights.pack(all, failing);
  expect([...weights.values.keys()]).toEqual(['a', 'one', 'two']);
  await expect(weights.pack(all, failing)).rejects.toThrow('packed already');
  weights.release();
});
