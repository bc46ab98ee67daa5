import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { findOperator } from '../../src/runtime/engine/ort/operator.ts';
import { unmovedInRows } from '../../src/runtime/engine/proofs/moved-rows.ts';
import { smollm } from '../support/models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { allLogits, type OpenWish, openModel, withLora } from './support/open-model.ts';
import { itWithOperator, operator } from './support/operator.ts';
import { sameBits, tinyModel } from './support/tiny.ts';

const bytesBelow = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);

const trimMalloc: (pad: number) => number = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');

/** Bytes of this process that no file has, without what waits for the garbage collector or what malloc keeps. */
const anonymousBytes = (): number => {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  trimMalloc(0);
  const text = readFileSync('/proc/self/smaps_rollup', 'utf8');
  return 1024 * Number(/^Anonymous:\s+(\d+) kB$/m.exec(text)?.[1]);
};

/** When each file was written, by its path. */
const filesBelow = (folder: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [join(parentPath, name), statSync(join(parentPath, name)).mtimeMs]),
  );

const opened = async (modelDir: string, cacheDir: string, wish: OpenWish = {}) => {
  const steps: string[] = [];
  const model = await openModel(modelDir, cacheDir, wish, (what) => steps.push(what));
  return { model, steps };
};

describe('a base model that was loaded before', () => {
  it('is not prepared or proved again, and is once it is another one; that does not touch the first', async () => {
    const cache = folderOfFile();
    // As versions before wrote it.
    mkdirSync(join(cache, 'prepared/earlier'), { recursive: true });
    writeFileSync(join(cache, 'prepared/earlier/prepared.json'), '{"files":[]}');
    const first = await opened(tinyModel('int4'), cache);
    first.model.sessions.release();
    expect(readdirSync(join(cache, 'prepared'))).toHaveLength(1);
    const products = operator?.products === undefined ? 0 : 1;
    // One is about attention by the native operator, one about its products.
    const proofs = operator === undefined ? 6 : 7 + products;
    expect(first.steps.filter((step) => step.includes('once'))).toHaveLength(proofs);
    const again = await opened(tinyModel('int4'), cache);
    again.model.sessions.release();
    expect(again.steps).toEqual([
      ...(products === 0 ? [] : ['packing the weights of its linears']),
      'packing the weights for requests without an adapter, and with one',
    ]);
    const other = await opened(tinyModel('fp32'), cache);
    other.model.sessions.release();
    expect(other.steps.length).toBeGreaterThan(5);
    expect(readdirSync(join(cache, 'prepared'))).toHaveLength(2);
    expect((await opened(tinyModel('int4'), cache)).steps).toHaveLength(1 + products);
  });

  itWithOperator(
    'keeps what was prepared when the native operator is another build, which is proved anew',
    async () => {
      const cache = folderOfFile();
      const first = await opened(tinyModel('int4'), cache);
      first.model.sessions.release();
      const isPreparing = (step: string): boolean => step.includes('optimis');
      expect(first.steps.filter(isPreparing)).not.toEqual([]);
      const prepared = filesBelow(join(cache, 'prepared'));
      // Loaders read over what comes after the library's sections.
      const path = join(cache, 'another-build.so');
      writeFileSync(path, Buffer.concat([readFileSync(operator?.path ?? ''), Buffer.from([0])]));
      const another = findOperator(path, (message) => expect.fail(message));
      const upgraded = await opened(tinyModel('int4'), cache, { operator: another });
      upgraded.model.sessions.release();
      expect(upgraded.steps.filter(isPreparing)).toEqual([]);
      expect(filesBelow(join(cache, 'prepared'))).toMatchObject(prepared);
      expect(upgraded.steps).toContain('proving that a prompt in pieces is answered as at once, once');
    },
  );
});

const model = smollm();

describe.skipIf(model === undefined)('a model whose embedding and last linear are one tensor', () => {
  const { modelDir = '' } = model ?? {};

  it('takes next to nothing on the disk, and packs its weights once for all graphs', async () => {
    const cache = folderOfFile();
    // What is made once, and what stays of it, is not counted.
    (await opened(modelDir, cache)).model.sessions.release();
    expect(bytesBelow(cache)).toBeLessThan(0.01 * statSync(join(modelDir, 'model.onnx.data')).size);
    const before = anonymousBytes();
    const { sessions } = (await opened(modelDir, cache)).model;
    const both = anonymousBytes() - before;
    // Packed they have 122 MB: 165 to 201 MB were seen with one copy, 314 to 332 MB with one for each graph.
    expect(both).toBeLessThan(250e6);
    const ids = [3, 5, 7];
    const answer = await allLogits(withLora(sessions.base), ids);
    expect(sameBits(await allLogits(withLora(sessions.lora), ids), answer)).toBe(true);
    if (operator !== undefined)
      expect((await unmovedInRows(sessions.lora)).length).toBeLessThan(sessions.lora.sites.length / 4);
    sessions.release();
  });
});
