import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../../src/api/names.ts';
import { compileAdapter } from '../../../src/runtime/adapter/compile.ts';
import type { EngineInfo } from '../../../src/runtime/engine/engine.ts';

/** The tiny model, its adapters and what they must answer. */
export const tinyFolder = join(import.meta.dirname, '../../fixtures/models/tiny');
export const tinyModel = (precision: 'fp32' | 'int4'): string => join(tinyFolder, `model/onnx-${precision}`);
export const tinyAdapters = ['upper', 'reverse', 'digits', 'hello'] as const;

type Golden = {
  readonly vocab_size: number;
  readonly prompts: readonly { readonly text: string; readonly input_ids: readonly number[] }[];
  readonly models: Readonly<
    Record<
      string,
      {
        readonly logits_file: string;
        readonly greedy: readonly { readonly ids: readonly number[]; readonly text: string }[];
      }
    >
  >;
};

export const golden = JSON.parse(readFileSync(join(tinyFolder, 'golden/golden.json'), 'utf8')) as Golden;

/** Reference logits of a model or adapter, one block of all positions per prompt. */
export const goldenLogits = (name: string): readonly Float32Array[] => {
  const bytes = readFileSync(join(tinyFolder, 'golden', `${name}.f32`));
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let at = 0;
  return golden.prompts.map(({ input_ids }) => {
    const size = input_ids.length * golden.vocab_size;
    at += size;
    return all.subarray(at - size, at);
  });
};

export const greedyOf = (
  name: string,
): readonly { readonly ids: readonly number[]; readonly text: string }[] => golden.models[name]?.greedy ?? [];

/** Compiles an adapter's folder for an engine; the file lies in `outFolder`. */
export const compileFor = async (info: EngineInfo, folder: string, outFolder: string): Promise<string> => {
  const { file } = await compileAdapter({
    folder,
    // Of other weights it is another one.
    digest: `sha256:${createHash('sha256').update(folder).digest('hex')}` as Digest,
    target: info,
    outFile: join(outFolder, `${folder.split('/').slice(-2).join('-')}.bin`),
    maxRank: 256,
  });
  return file;
};

export const maxDifference = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);
};

export const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
