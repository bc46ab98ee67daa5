import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../src/runtime/engine/graphs/kv-scales.ts';
import { compareLogits } from '../../src/runtime/engine/session/probe.ts';
import { smollm } from '../support/models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { exportedLogits } from './support/exported-logits.ts';
import { allLogits, type OpenModel, openModel, readConfig, withLora } from './support/open-model.ts';
import { compileFor, sameBits } from './support/tiny.ts';

const real = smollm();
/**
 * How far logits may be from the exported graph's, root of the mean square, as a share of their spread: activations of 8 bits amplify a
 * last bit. With ONNX Runtime's attention a prompt at once and token by token are 0.035 apart (docs/adr/0044).
 */
const nearExported = 0.06;

describe.skipIf(real === undefined)('SmolLM2-135M int4 (ADAPTLET_MODELS or ../shared/models)', () => {
  let model: OpenModel;
  const folder = folderOfTests();
  const prompt =
    '<|im_start|>user\nPlease ship 4 chairs to Maria in Lisbon.<|im_end|>\n<|im_start|>assistant\n';

  beforeAll(async () => {
    if (real !== undefined) model = await openModel(real.modelDir, folder);
  });
  afterAll(() => model?.sessions.release());

  it('shares the weights between its graphs, with LoRA at all 210 linears wired', () => {
    expect(model.warnings).toEqual([]);
    expect(model.info.sites).toHaveLength(210);
  });

  it('is bit-equal to the exported graph without an adapter and with rank 0, near it where attention is the native operator', async () => {
    const modelDir = real?.modelDir ?? '';
    const ids = model.codec.encode({ kind: 'text', text: prompt });
    const shape = { ...readConfig(modelDir), headSize: model.settings.headSize };
    const exported = await exportedLogits(modelDir, shape, ids);
    expect(exported.every(Number.isFinite)).toBe(true);
    const portable = await openModel(modelDir, folder, { operator: undefined });
    for (const graph of [portable.sessions.base, portable.sessions.lora])
      expect(sameBits(await allLogits(withLora(graph), ids), exported)).toBe(true);
    portable.sessions.release();
    const { base, lora } = model.sessions;
    const logits = await allLogits(withLora(base), ids);
    expect(sameBits(await allLogits(withLora(lora), ids), logits)).toBe(true);
    expect(relativeError([logits], [exported])).toBeLessThan(nearExported);
  });

  it('has keys and values in int8, a quarter of the memory, with all its proofs', async () => {
    const kv = { precision: 'int8', available: undefined, besideBytes: 0, requests: 8 } as const;
    const int8 = await openModel(real?.modelDir ?? '', folder, { kv });
    expect(int8.warnings).toEqual([]);
    expect(int8.sessions.rowsTogether).toBe(true);
    expect(int8.sessions.base.cacheBytes(1)).toBe(model.sessions.base.cacheBytes(1) / 4);
    int8.sessions.release();
  });

  it('answers a conversation in its chat template as the prompt of the task is written', () => {
    const messages = [{ role: 'user', content: 'Please ship 4 chairs to Maria in Lisbon.' }];
    const chat = model.codec.decode(model.codec.encode({ kind: 'chat', messages }));
    expect(chat).toContain('user\nPlease ship 4 chairs to Maria in Lisbon.');
    expect(chat.endsWith('assistant\n')).toBe(true);
  });

  it('changes with each of its adapters', async () => {
    const { lora } = model.sessions;
    const ids = model.codec.encode({ kind: 'text', text: prompt });
    const base = await allLogits(withLora(lora), ids);
    for (const name of ['json-extract-v1', 'json-extract-v2', 'pirate']) {
      const file = await compileFor(model.info, join(real?.adapters ?? '', name), folder);
      const adapter = await model.adapters.load(name, file);
      const result = compareLogits(await allLogits(adapter, ids), base);
      expect(result).toMatchObject({ finite: true });
      expect(result.maxDifference).toBeGreaterThan(1);
    }
  });
});
