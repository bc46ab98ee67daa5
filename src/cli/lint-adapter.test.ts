import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { type LintOptions, lintFiles } from './lint.ts';

const tiny = fileURLToPath(new URL('../../test/fixtures/models/tiny', import.meta.url));
const upper = join(tiny, 'adapters/upper');

let root = '';
beforeEach(() => {
  root = folderOfTest();
});

const lint = async (path: string, options: LintOptions = {}) => {
  let out = '';
  let err = '';
  const io = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
  const code = await lintFiles([path], io, options);
  return { code, out, err };
};

/** A copy of an adapter whose configuration has other fields. */
const changed = async (fields: object): Promise<string> => {
  const folder = join(root, 'changed');
  await cp(upper, folder, { recursive: true });
  const path = join(folder, 'adapter_config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, ...fields }));
  return folder;
};

describe('lint of an adapter', () => {
  it('says nothing of a good one', async () => {
    expect(await lint(upper)).toEqual({
      code: 0,
      out: '',
      err: '0 files, 0 objects, 1 adapter, 0 problems, 0 warnings\n',
    });
  });

  it.each([
    ['another rank than the tensors have', { r: 8 }, /rank|r=8/],
    ['a kind that is not read', { peft_type: 'VERA' }, /VERA/i],
    ['modules that no tensor is of', { target_modules: ['nowhere'] }, /does not target/],
  ])('says that its configuration has %s', async (_, fields, words) => {
    const found = await lint(await changed(fields));
    expect(found.code).toBe(1);
    expect(found.out).toMatch(words);
    expect(found.out).toContain(`${join(root, 'changed')}: `);
  });

  it.each([
    ['a value that is no number', 'broken-nan', /diverged/],
    ['a file that ends early', 'broken-truncated', /adapter_model\.safetensors/],
  ])('says that its weights have %s', async (_, name, words) => {
    const found = await lint(join(tiny, 'variants', name));
    expect(found).toMatchObject({ code: 1, out: expect.stringMatching(words) });
    expect(found.err).toContain('1 adapter, 1 problem,');
  });

  it('says what push refuses: a pickle', async () => {
    const folder = await changed({});
    await writeFile(join(folder, 'adapter_model.bin'), 'x');
    expect((await lint(folder)).out).toMatch(/adapter_model\.bin/);
  });

  it.each([
    ['empty', ''],
    ['empty', null],
    ['a path', '/home/ann/models/llama'],
    ['a path', './llama'],
  ])('warns where the name of the base model is %s: %s', async (words, name) => {
    const found = await lint(await changed({ base_model_name_or_path: name }));
    expect(found.code).toBe(0);
    expect(found.out).toContain(`warning: adapter_config.json: base_model_name_or_path is ${words}`);
  });

  it('counts it in JSON', async () => {
    const { out } = await lint(upper, { output: 'json' });
    expect(JSON.parse(out)).toEqual({ files: 0, adapters: 1, objects: 0, problems: [], warnings: [] });
  });
});
