import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { codeOf } from '../../../errors/code-of.fixture.ts';
import { compiledValues } from '../../compiled/compiled-values.fixture.ts';
import { compileAdapter } from '../compile.ts';
import {
  brokenVariants,
  float32,
  safetensors,
  tinyFolder,
  tinyTarget,
  writeAdapter,
} from '../peft-folder.fixture.ts';
import { headerLength } from '../safetensors.ts';
import { convertAdapter } from './convert.ts';
import type { Precision } from './precision.ts';

const root = folderOfTests();
let out: string;
let count = 0;
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});

const convert = (folder: string, to: Precision, outFolder = out) =>
  convertAdapter({ folder, outFolder, to, maxRank: 256 });

const upper = join(tinyFolder, 'adapters/upper');
const full = join(tinyFolder, 'variants/valid-fp32');

const weightsOf = (folder: string): Promise<Buffer> => readFile(join(folder, 'adapter_model.safetensors'));

/** What an engine computes with, by `module half`. */
const valuesOf = async (folder: string) => {
  const outFile = join(root, `compiled-${(count += 1)}`);
  await compileAdapter({ folder, digest: fakeDigest('a'), target: tinyTarget, outFile, maxRank: 256 });
  return (await compiledValues(outFile)).values;
};

const headerOf = async (folder: string): Promise<Record<string, Record<string, unknown>>> => {
  const bytes = await weightsOf(folder);
  const length = headerLength(bytes.subarray(0, 8), bytes.length, 'x');
  return JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Record<string, unknown>>;
};

/** Norm of the difference over norm, of all tensors together. */
const distance = (from: ReadonlyMap<string, Float32Array>, to: ReadonlyMap<string, Float32Array>): number => {
  let [difference, norm] = [0, 0];
  for (const [name, values] of from) {
    for (const [at, value] of values.entries()) {
      difference += (to.get(name)![at]! - value) ** 2;
      norm += value ** 2;
    }
  }
  return Math.sqrt(difference / norm);
};

describe('converting', () => {
  it('makes int8 that a node reads within the error that is stated', async () => {
    const { bytesBefore, bytesAfter, error } = await convert(full, 'int8');
    expect(bytesAfter).toBe((await weightsOf(out)).length);
    expect(bytesAfter).toBeLessThan(0.6 * bytesBefore);
    const [before, after] = [await valuesOf(full), await valuesOf(out)];
    const lost = distance(before, after);
    expect(lost).toBeGreaterThan(1e-4);
    expect(lost).toBeLessThan(error.relative.worst);
    expect(error.relative.worst).toBeLessThan(0.01);
    expect(error.relative.overall).toBeLessThanOrEqual(error.relative.worst);
    const named = error.maxAbsTensor
      .replace('base_model.model.', '')
      .replace(/\.lora_([AB])\.weight$/, ' $1');
    expect([...before.keys()]).toContain(named);
  });

  it('makes float16 of float32 that was float16 without any loss, and the same file of it again', async () => {
    const { error } = await convert(full, 'float16');
    expect(error).toMatchObject({ maxAbs: 0, relative: { overall: 0, worst: 0 } });
    expect(await valuesOf(out)).toEqual(await valuesOf(upper));
    const again = join(root, 'again');
    await convert(out, 'float16', again);
    expect((await weightsOf(again)).equals(await weightsOf(out))).toBe(true);
  });

  it.each(['int8', 'float16'] as const)(
    'writes the same bytes of the same %s, with the error in the metadata',
    async (to) => {
      const { error } = await convert(upper, to);
      const other = join(root, `other-${to}`);
      await convert(upper, to, other);
      expect((await weightsOf(other)).equals(await weightsOf(out))).toBe(true);
      const { __metadata__: metadata } = await headerOf(out);
      expect(metadata).toMatchObject({ format: 'pt', adaptlet_precision: to });
      expect(JSON.parse(String(metadata?.['adaptlet_error']))).toEqual(error);
      expect(await readFile(join(out, 'adapter_config.json'))).toEqual(
        await readFile(join(upper, 'adapter_config.json')),
      );
    },
  );

  it('keeps a classification head and its labels as they are', async () => {
    const layer = 'base_model.model.encoder.layer.0.attention.self.query';
    const folder = await writeAdapter(
      join(root, 'classifier'),
      { task_type: 'SEQ_CLS', target_modules: ['query'], r: 1, modules_to_save: ['classifier'] },
      safetensors({
        [`${layer}.lora_A.weight`]: float32([1, 4], [0.1, 0.2, 0.3, 0.4]),
        [`${layer}.lora_B.weight`]: float32([4, 1], [1, 2, 3, 4]),
        'base_model.model.classifier.weight': float32([2, 4], [1, 2, 3, 4, 5, 6, 7, 8.1]),
        'base_model.model.classifier.bias': float32([2], [0.1, 0.2]),
      }),
    );
    await writeFile(join(folder, 'labels.json'), '{"labels": ["no", "yes"]}');
    await convert(folder, 'int8');
    expect(await readFile(join(out, 'labels.json'), 'utf8')).toContain('yes');
    const header = await headerOf(out);
    expect(header['base_model.model.classifier.weight']).toMatchObject({ dtype: 'F32', shape: [2, 4] });
    expect(header[`${layer}.lora_A.weight`]).toMatchObject({ dtype: 'I8', shape: [1, 4] });
    const bytes = await weightsOf(out);
    expect(bytes.includes(Buffer.from(new Float32Array([1, 2, 3, 4, 5, 6, 7, 8.1]).buffer))).toBe(true);
  });
});

describe('what is not converted', () => {
  /** Told only by the base model; here the tensors stand for it. */
  const needsBase = new Set(['broken-shape', 'broken-unknown-key', 'broken-wrong-base']);

  it.each(Object.entries(brokenVariants).filter(([name]) => !needsBase.has(name)))(
    '%s, which a node refuses with %s',
    async (variant, code) => {
      expect(await codeOf(() => convert(join(tinyFolder, 'variants', variant), 'int8'))).toBe(code);
      expect((await readdir(root)).filter((name) => name.startsWith(basename(out)))).toEqual([]);
    },
  );

  it('an adapter that is int8 already', async () => {
    await convert(upper, 'int8');
    expect(await codeOf(() => convert(out, 'float16', join(root, 'twice')))).toBe('ADAPTER_CONVERTED');
  });

  it('into a folder that is there, even an empty one', async () => {
    await mkdir(out);
    expect(await codeOf(() => convert(upper, 'int8'))).toBe('CONVERT_TARGET_EXISTS');
    expect(await readdir(out)).toEqual([]);
  });

  const oneLinear = (module: string, value: number) =>
    safetensors({
      [`base_model.model.${module}.lora_A.weight`]: float32([1, 2], [1, 2]),
      [`base_model.model.${module}.lora_B.weight`]: float32([2, 1], [1, value]),
    });

  it('to float16, a weight beyond its range; nothing is left behind', async () => {
    const folder = await writeAdapter(
      join(root, 'range'),
      { target_modules: ['q'], r: 1 },
      oneLinear('q', 70_000),
    );
    await expect(convert(folder, 'float16')).rejects.toMatchObject({
      code: 'ADAPTER_FLOAT16_RANGE',
      message: expect.stringMatching(/q\.lora_B\.weight.*70000 at element 1/),
    });
    expect((await readdir(root)).some((name) => name.endsWith('.tmp'))).toBe(false);
  });

  it('a weight that is infinite once it is scaled', async () => {
    const fields = { target_modules: ['q'], r: 1, lora_alpha: 1000 };
    const folder = await writeAdapter(join(root, 'scaled'), fields, oneLinear('q', 1e37));
    expect(await codeOf(() => convert(folder, 'int8'))).toBe('ADAPTER_NOT_FINITE');
  });

  it('a weight that rounding makes infinite, in float32 or once it is scaled', async () => {
    const values = [
      [1, 3.4028234663852886e38],
      [2, 1.7014117331926443e38],
    ] as const;
    for (const [alpha, value] of values) {
      const fields = { target_modules: ['q'], r: 1, lora_alpha: alpha };
      const folder = await writeAdapter(join(root, 'edge'), fields, oneLinear('q', value));
      await expect(convert(folder, 'int8')).rejects.toMatchObject({
        code: 'ADAPTER_NOT_FINITE',
        message: expect.stringMatching(/lora_B\.weight.* once converted/),
      });
    }
  });

  it('an adapter of the output layer', async () => {
    const folder = await writeAdapter(
      join(root, 'head'),
      { target_modules: ['lm_head'], r: 1 },
      oneLinear('lm_head', 1),
    );
    expect(await codeOf(() => convert(folder, 'int8'))).toBe('ADAPTER_EMBEDDING');
  });
});
