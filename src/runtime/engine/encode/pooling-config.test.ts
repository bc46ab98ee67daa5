import { existsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { readPoolingConfig } from './pooling-config.ts';

/** A folder with these files. */
const folderOf = async (files: Readonly<Record<string, unknown>>) => {
  const folder = folderOfTest();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), JSON.stringify(content));
  }
  return (file: string) => (existsSync(join(folder, file)) ? join(folder, file) : undefined);
};
const read = async (files: Readonly<Record<string, unknown>>, pooling?: 'cls') =>
  readPoolingConfig(await folderOf(files), { pooling });

const module = (kind: string, path: string) => ({
  idx: 0,
  name: '0',
  path,
  type: `sentence_transformers.models.${kind}`,
});
const modules = [module('Transformer', ''), module('Pooling', '1_Pooling')];
const mean = { word_embedding_dimension: 384, pooling_mode_mean_tokens: true, pooling_mode_cls_token: false };
const cls = { pooling_mode_mean_tokens: false, pooling_mode_cls_token: true };

describe('how a model pools', () => {
  it('is the mean over its tokens where nothing says it, or what the node was told', async () => {
    expect(await read({})).toEqual({
      pooling: 'mean',
      normalize: undefined,
      maxTokens: undefined,
      files: [],
    });
    expect((await read({}, 'cls')).pooling).toBe('cls');
  });

  it('is what its files say, whatever the node was told', async () => {
    const files = {
      'modules.json': [...modules, module('Normalize', '2_Normalize')],
      '1_Pooling/config.json': mean,
      'sentence_bert_config.json': { max_seq_length: 256, do_lower_case: false },
    };
    const config = await read(files, 'cls');
    expect(config).toMatchObject({ pooling: 'mean', normalize: true, maxTokens: 256 });
    expect(config.files).toHaveLength(3);
  });

  it('is not normalised when the list of its modules has nothing that does', async () => {
    const config = await read({ 'modules.json': modules, '1_Pooling/config.json': cls });
    expect(config).toMatchObject({ pooling: 'cls', normalize: false });
  });

  it('is where the list of modules says', async () => {
    const list = [module('Transformer', ''), module('Pooling', 'pool')];
    expect((await read({ 'modules.json': list, 'pool/config.json': cls })).pooling).toBe('cls');
  });

  it('is read in the form of a name as well', async () => {
    expect((await read({ '1_Pooling/config.json': { pooling_mode: 'cls' } })).pooling).toBe('cls');
  });

  it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    [
      'another pooling',
      { '1_Pooling/config.json': { pooling_mode_max_tokens: true } },
      /pooling_mode_max_tokens/,
    ],
    [
      'a pooling that is no text',
      { '1_Pooling/config.json': { pooling_mode: { toString: null, valueOf: null } } },
      /pooling/,
    ],
    [
      'two poolings',
      { '1_Pooling/config.json': { ...mean, pooling_mode_cls_token: true } },
      /mean_tokens, pooling_mode_cls/,
    ],
    [
      'a module that is not known',
      { 'modules.json': [...modules, module('Dense', '2_Dense')] },
      /models\.Dense/,
    ],
    ['a pooling outside of the folder', { 'modules.json': [module('Pooling', '../x')] }, /\.\.\/x/],
    [
      'a prompt before every text',
      { 'config_sentence_transformers.json': { default_prompt_name: 'query' } },
      /the prompt "query"/,
    ],
  ])('is refused with %s', async (_, files, message) => {
    await expect(read(files)).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(message),
    });
  });
});
