import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { compileAdapter } from './compile.ts';
import { tinyFolder, tinyTarget } from './peft-folder.fixture.ts';

const adapters = join(tinyFolder, '../../adapters');

const root = folderOfTests();

it.each([
  ['head-target', 'the output layer, whose sum every request would pay for'],
  ['head-target-bare', 'the output layer, whose sum every request would pay for'],
  ['ia3-head', 'the output layer, whose sum every request would pay for'],
  ['embedding-target', 'an embedding, whose rows are looked up and not multiplied'],
  ['embeddings-saved', 'one of the largest of the base model as a whole, which all adapters share'],
  ['modules-to-save-head', 'the embedding and the output layer are the largest weights of the base model'],
  ['modules-to-save', 'what a norm gives is the input of several linears'],
  ['loha-rank', 'as a pair of matrices, the square of its rank 17 as LoHa'],
  ['init-corda', 'adaptlet compose ADAPTER --initial INITIAL'],
  ['method-oft', 'it turns the weights of the base, which all adapters share'],
])('the adapter %s is refused by a sentence that says why: %s', async (name, why) => {
  const input = { folder: join(adapters, name), digest: fakeDigest('a'), target: tinyTarget, maxRank: 256 };
  await expect(compileAdapter({ ...input, outFile: join(root, name) })).rejects.toThrow(why);
});
