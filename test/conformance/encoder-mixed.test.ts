import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32, safetensors, writeAdapter } from '../../src/runtime/adapter/peft-folder.fixture.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { minilm } from '../support/models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { type OpenEncoder, openEncoder } from './support/open-encoder.ts';
import { operator } from './support/operator.ts';
import { compileFor } from './support/tiny.ts';

const real = minilm();

/** Kernels add up in another order, and activations are rounded to 8 bits. */
const tolerance = 1e-3;

const texts = [
  'will it rain tomorrow',
  'play some jazz',
  'transfer five dollars to anna, please, and tell her why',
];

const farthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);

describe.skipIf(real === undefined)('texts of different adapters in one run of MiniLM', () => {
  const folder = folderOfTests();
  let encoder: OpenEncoder;
  let next = 0;

  /** An adapter of some rank on the modules that end like one of these. */
  const write = async (name: string, rank: number, kinds: readonly string[]): Promise<string> => {
    const random = seededRandom(rank);
    const values = (count: number): number[] => Array.from({ length: count }, () => random() - 0.5);
    const sites = encoder.model.info.sites.filter(({ module }) =>
      kinds.some((kind) => module.endsWith(kind)),
    );
    const tensors = Object.fromEntries(
      sites.flatMap(({ module, inFeatures, outFeatures }) => [
        [`base_model.model.${module}.lora_A.weight`, float32([rank, inFeatures], values(rank * inFeatures))],
        [
          `base_model.model.${module}.lora_B.weight`,
          float32([outFeatures, rank], values(outFeatures * rank)),
        ],
      ]),
    );
    const config = {
      task_type: 'FEATURE_EXTRACTION',
      r: rank,
      lora_alpha: rank / 8,
      target_modules: [...kinds],
    };
    return await writeAdapter(join(folder, name), config, safetensors(tensors));
  };

  const embed = async (adapter: string | null, of: readonly string[]): Promise<readonly Float32Array[]> => {
    next += 1;
    const result = await encoder.host.encode(next, {
      requestId: String(next),
      engineName: adapter,
      texts: of.map((text) => ({ kind: 'text', text })),
      output: 'embedding',
    });
    return result.kind === 'embedding' ? result.rows : [];
  };

  beforeAll(async () => {
    if (real === undefined) return;
    encoder = await openEncoder(real.modelDir, folder, { maxBatchDelayMs: 100 });
    const adapters = {
      narrow: await write('narrow', 2, ['query', 'value']),
      wide: await write('wide', 8, ['query', 'key', 'intermediate.dense']),
      pooled: await write('pooled', 4, ['query', 'pooler.dense']),
    };
    for (const [name, source] of Object.entries(adapters)) {
      await encoder.host.load(name, await compileFor(encoder.model.info, source, folder));
    }
  });
  afterAll(() => encoder?.host.close());

  it('takes texts of different adapters together where the operator takes an adapter for each', () => {
    expect(encoder.model.sessions.mixes).toBe(operator !== undefined);
  });

  it('gives each text what its adapter gives it by itself', async () => {
    const adapters = [null, 'narrow', 'wide', 'pooled'];
    const alone: (readonly Float32Array[])[] = [];
    for (const adapter of adapters) {
      const rows: Float32Array[] = [];
      for (const text of texts) rows.push(...(await embed(adapter, [text])));
      alone.push(rows);
    }
    const together = await Promise.all(adapters.map((adapter) => embed(adapter, texts)));
    for (const [at, rows] of together.entries()) {
      for (const [text, row] of rows.entries()) {
        expect(farthest(row, alone[at]![text]!)).toBeLessThanOrEqual(tolerance);
        for (const [other, theirs] of alone.entries()) {
          if (other !== at) expect(farthest(row, theirs[text]!)).toBeGreaterThan(10 * tolerance);
        }
      }
    }
  });
});
