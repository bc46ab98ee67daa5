import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { onceDeleted, readVerdict, saidOfProducts, writeVerdict } from './products-verdict.ts';

const digest = '0123456789abcdef';
const avx2 = { digest, level: 'avx2' };
const times = {
  token: { ratio: 0.8, faster: 15, slower: 0 },
  piece: { ratio: 0.5, faster: 15, slower: 0 },
};

const prepared = (): { readonly cache: string; readonly folder: string } => {
  const cache = folderOfTest();
  const folder = join(cache, 'prepared/model');
  mkdirSync(folder, { recursive: true });
  return { cache, folder };
};

describe('what was found of products', () => {
  it('is of one build of the operator and one instruction set, in a file that can be deleted', async () => {
    const { folder } = prepared();
    await writeVerdict(folder, avx2, { times });
    expect(readVerdict(folder, avx2)).toEqual({ times });
    expect(readVerdict(folder, { ...avx2, level: 'avxvnni' })).toBeUndefined();
    expect(readVerdict(folder, { ...avx2, digest: `9${digest}` })).toBeUndefined();
    expect(onceDeleted(folder, avx2)).toBe(
      `they are compared again once ${join(folder, 'products-avx2-0123456789ab.json')} is deleted`,
    );
  });

  it('is told in words, of all products or of some', async () => {
    const { cache, folder } = prepared();
    expect(saidOfProducts(folderOfTest())).toEqual([]);
    await writeVerdict(folder, avx2, { times });
    const refused = { digest: 'fedcba9876543210', level: 'vnni' };
    await writeVerdict(folder, refused, { refused: 'a reason' });
    writeFileSync(join(folder, 'products-avx2-broken.json'), 'not JSON');
    const faster =
      "have products of the native operator by avx2: 0.80 of ONNX Runtime's time for one token (less in 15 of 15 rounds), 0.50 of ONNX Runtime's time for 16 tokens of a prompt (less in 15 of 15 rounds)";
    const kept = "keep ONNX Runtime's products: a reason";
    expect(saidOfProducts(cache).toSorted()).toEqual([faster, kept]);
    expect(saidOfProducts(cache, avx2)).toEqual([faster]);
    expect(saidOfProducts(cache, refused)).toEqual([kept]);
  });
});
