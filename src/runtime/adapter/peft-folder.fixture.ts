import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { Site } from '../compiled/compile-target.ts';

/** Adapters for tests: made by hand, and those of the tiny model. */

export const tinyFolder = fileURLToPath(new URL('../../../test/fixtures/models/tiny', import.meta.url));

/** Broken adapters of the tiny model, below `variants`, and what each is refused with. */
export const brokenVariants = {
  'broken-config-r': 'ADAPTER_RANK_NOT_CONFIG',
  'broken-dora': 'ADAPTER_DORA',
  'broken-header': 'ADAPTER_HEADER_TOO_LARGE',
  'broken-inf': 'ADAPTER_NOT_FINITE',
  'broken-missing-b': 'ADAPTER_PAIR_INCOMPLETE',
  'broken-nan': 'ADAPTER_NOT_FINITE',
  'broken-rank': 'ADAPTER_RANK_UNEQUAL',
  'broken-shape': 'ADAPTER_SHAPE',
  'broken-truncated': 'ADAPTER_FILE_TRUNCATED',
  'broken-unknown-key': 'ADAPTER_TENSOR_UNKNOWN',
  'broken-wrong-base': 'ADAPTER_WRONG_BASE',
} as const;

const widths: Readonly<Record<string, readonly [number, number]>> = {
  'self_attn.q_proj': [64, 64],
  'self_attn.k_proj': [64, 32],
  'self_attn.v_proj': [64, 32],
  'self_attn.o_proj': [64, 64],
  'mlp.gate_proj': [64, 128],
  'mlp.up_proj': [64, 128],
  'mlp.down_proj': [128, 64],
};

/** The linears of the tiny model. */
export const tinySites: readonly Site[] = [0, 1].flatMap((layer) =>
  Object.entries(widths).map(([name, [inFeatures, outFeatures]]) => ({
    module: `model.layers.${layer}.${name}`,
    inFeatures,
    outFeatures,
  })),
);

export const tinyTarget = {
  sites: tinySites,
  baseDigest: fakeDigest('b'),
  engineVersion: 'test 1',
  weights: 'float32',
} as const;

export type FixtureTensor = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
};

/** A float32 tensor of the given values, row by row. */
export const float32 = (shape: readonly number[], values: readonly number[]): FixtureTensor => ({
  dtype: 'F32',
  shape,
  data: new Uint8Array(new Float32Array(values).buffer),
});

/** An int8 tensor of the given values, row by row. */
export const int8 = (shape: readonly number[], values: readonly number[]): FixtureTensor => ({
  dtype: 'I8',
  shape,
  data: new Uint8Array(new Int8Array(values).buffer),
});

/** A safetensors file around a header that may say anything. */
export const rawSafetensors = (header: string | Uint8Array, data: Uint8Array): Buffer => {
  const json = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, data]);
};

/** A valid safetensors file, tensors in the order given. */
export const safetensors = (tensors: Readonly<Record<string, FixtureTensor>>): Buffer => {
  let at = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      const begin = at;
      at += data.length;
      return [name, { dtype, shape, data_offsets: [begin, at] }];
    }),
  );
  const data = Buffer.concat(Object.values(tensors).map((tensor) => tensor.data));
  return rawSafetensors(JSON.stringify({ __metadata__: { format: 'pt' }, ...header }), data);
};

/** Writes a PEFT folder. */
export const writeAdapter = async (
  folder: string,
  config: Readonly<Record<string, unknown>>,
  weights: Uint8Array,
): Promise<string> => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', ...config }));
  await writeFile(join(folder, 'adapter_model.safetensors'), weights);
  return folder;
};
