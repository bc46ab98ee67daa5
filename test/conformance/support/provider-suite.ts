import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { cpuProvider } from '../../../src/runtime/engine/ort/providers.ts';
import { OnnxSession } from '../../../src/runtime/engine/ort/session.ts';
import { fixtureFolder } from '../../support/fixture-models.ts';
import { minilm } from '../../support/models.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';
import { ask, request, startTiny } from './engine.ts';
import { exactnessCases, exactnessFolder, made } from './exactness-cases.ts';
import { eight, stepsDuring, TestHost } from './host.ts';
import { openEncoder } from './open-encoder.ts';
import { allLogits, greedy, type OpenModel, openModel, withLora } from './open-model.ts';
import {
  compileFor,
  golden,
  goldenLogits,
  greedyOf,
  maxDifference,
  tinyAdapters,
  tinyFolder,
  tinyModel,
} from './tiny.ts';

const real = minilm();
/** Weights and activations in 8 bits against float32; as test/conformance/minilm.test.ts has it for the CPU. */
const int8Tolerance = 0.2;

/** How many operators each provider has. */
type Operators = Readonly<Record<string, number>>;

/** A provider whose answers are compared with those of the reference. */
export type ProviderOfTests = {
  readonly provider: string;
  /** Largest difference of logits, which reach 12.8, from those of torch and of PEFT. */
  readonly tolerance: number;
  readonly exactTolerance: number;
  /** Where it is known what the provider takes: of the tiny model, and of MiniLM. */
  readonly operators?: { readonly tiny: Operators; readonly minilm: Operators };
};

/** The tests of an execution provider; its library is named before. */
export const answersAsTheCpu = ({
  provider,
  tolerance,
  exactTolerance,
  operators,
}: ProviderOfTests): void => {
  const wish = { executionProviders: [provider], requireProvider: true };
  describe.each(['fp32', 'int4'] as const)('the tiny model in %s', (precision) => {
    let model: OpenModel;
    let folder: string;
    beforeAll(async () => {
      folder = folderOfFile();
      model = await openModel(tinyModel(precision), folder, wish);
      for (const name of tinyAdapters) {
        const file = await compileFor(model.info, join(tinyFolder, 'adapters', name), folder);
        await model.adapters.load(name, file);
      }
    });
    afterAll(() => model.sessions.release());

    it('runs on it', () => {
      expect(model.info.executionProvider).toBe(provider);
      expect(model.info.refusedProviders).toEqual([]);
      expect(model.info.operators).toEqual(
        operators?.tiny ?? expect.objectContaining({ [provider]: expect.any(Number) }),
      );
    });

    it('gives the greedy tokens of the reference, base and each adapter', async () => {
      for (const [index, { input_ids }] of golden.prompts.entries()) {
        const options = { eosIds: model.settings.eosIds, count: 32 };
        for (const name of ['base', ...tinyAdapters]) {
          const from = name === 'base' ? withLora(model.sessions.base) : model.adapters.get(name);
          expect(await greedy(from, input_ids, options)).toEqual(greedyOf(name)[index]?.ids);
        }
      }
    });

    if (precision === 'fp32')
      it('gives the logits of the reference at every position, base and each adapter', async () => {
        for (const [index, { input_ids }] of golden.prompts.entries()) {
          for (const name of ['base', ...tinyAdapters]) {
            const from = name === 'base' ? withLora(model.sessions.base) : model.adapters.get(name);
            const logits = await allLogits(from, input_ids);
            expect(maxDifference(logits, goldenLogits(name)[index]!)).toBeLessThanOrEqual(tolerance);
          }
        }
      });

    if (precision === 'fp32')
      it.each(exactnessCases.filter((row) => row.result === 'exact'))(
        'gives the logits of PEFT with the adapter $name',
        async ({ name }) => {
          const file = await compileFor(model.info, join(exactnessFolder, name), folder);
          const adapter = await model.adapters.load(name, file);
          const bytes = readFileSync(join(exactnessFolder, name, 'golden.f32'));
          const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
          const parts: number[] = [];
          for (const ids of made.prompts) {
            const logits = await allLogits(adapter, ids);
            parts.push(...logits.slice((logits.length / ids.length) * (ids.length - made.positions)));
          }
          expect(maxDifference(Float32Array.from(parts), expected)).toBeLessThanOrEqual(exactTolerance);
        },
      );

    it('runs requests of different adapters together, and each has the answer that it has alone', async () => {
      const host = await TestHost.tiny(tinyModel(precision), wish, folder);
      expect(host.sessions.rowsTogether).toBe(true);
      const alone = await host.alone(eight);
      const { result, steps } = await stepsDuring(() => host.together(eight));
      expect(result).toEqual(alone);
      expect(Math.max(...steps.map(({ rows }) => rows))).toBeGreaterThan(4);
      expect(new Set(alone.map((ids) => ids.slice(0, 8).join(' '))).size).toBe(8);
      await host.close();
    });
  });

  it.skipIf(real === undefined)(
    'gives the logits of PEFT for texts of MiniLM in int8 (ADAPTLET_MODELS or ../shared/models)',
    async () => {
      const folder = folderOfFile();
      const { modelDir = '', adapters = '', eval: rows = '' } = real ?? {};
      const { model, host, warnings } = await openEncoder(modelDir, folder, wish);
      expect(warnings).toEqual([]);
      if (operators) expect(model.info.operators).toEqual(operators.minilm);
      await host.load('intent', await compileFor(model.info, join(adapters, 'intent'), folder));
      const file = readFileSync(join(rows, 'golden-logits.json'), 'utf8');
      const { intent } = JSON.parse(file) as {
        intent: readonly { text: string; logits: readonly number[] }[];
      };
      const texts = intent.map(({ text }) => ({ kind: 'text', text }) as const);
      const asked = { requestId: '1', engineName: 'intent', texts, output: 'classification' } as const;
      const result = await host.encode(1, asked);
      const classes = result.kind === 'classification' ? result.rows : [];
      expect(classes).toHaveLength(intent.length);
      for (const [index, { logits }] of classes.entries()) {
        const expected = Float32Array.from(intent[index]?.logits ?? []);
        expect(maxDifference(Float32Array.from(logits), expected)).toBeLessThan(int8Tolerance);
      }
      await host.close();
    },
  );

  describe('that computes something else', () => {
    afterEach(() => vi.restoreAllMocks());

    /** Names of the same length, so that only the wiring is different. */
    const swapped = (graph: Uint8Array): Buffer => {
      const [key, value] = ['k', 'v'].map((kind) => `lora.model.layers.1.self_attn.${kind}_proj.B`);
      const text = Buffer.from(graph).toString('latin1');
      const parts = text.split(key ?? '').map((part) => part.replaceAll(value ?? '', key ?? ''));
      return Buffer.from(parts.join(value), 'latin1');
    };

    it('is refused for the wrong answers, and the CPU serves where that is allowed', async () => {
      const open = OnnxSession.open.bind(OnnxSession);
      vi.spyOn(OnnxSession, 'open').mockImplementation((graph, options) =>
        open(options.provider === provider ? swapped(graph) : graph, options),
      );
      await expect(openModel(tinyModel('fp32'), folderOfFile(), wish)).rejects.toMatchObject({
        code: 'PROVIDER_NOT_AVAILABLE',
        message: expect.stringContaining('its answers are not those of the CPU'),
      });
      const model = await openModel(tinyModel('fp32'), folderOfFile(), { executionProviders: [provider] });
      expect(model.info.executionProvider).toBe(cpuProvider);
      const reason = expect.stringContaining('not those of the CPU');
      expect(model.info.refusedProviders).toEqual([{ provider: provider, reason }]);
      expect(model.warnings).toEqual([reason]);
      const { input_ids = [] } = golden.prompts[0] ?? {};
      const logits = await allLogits(withLora(model.sessions.base), input_ids);
      expect(maxDifference(logits, goldenLogits('base')[0]!)).toBeLessThanOrEqual(tolerance);
      model.sessions.release();
    });
  });

  it('runs a graph with two tables of positions, and answers from both as the CPU does', async () => {
    const folder = fixtureFolder('builder-phi3-longrope');
    const on = await openModel(folder, folderOfFile(), wish);
    const cpu = await openModel(folder, folderOfFile());
    expect(on.info.executionProvider).toBe(provider);
    expect([on.sessions.rowsTogether, on.info.limits]).toEqual([true, []]);
    const answers = [];
    for (const length of [8, 60, 73, 120]) {
      const ids = Array.from({ length }, (_, at) => 3 + ((at * at) % 16));
      const [got, expected] = [
        await allLogits(withLora(on.sessions.base), ids),
        await allLogits(withLora(cpu.sessions.base), ids),
      ];
      expect(maxDifference(got, expected)).toBeLessThanOrEqual(tolerance);
      answers.push(expected.slice(0, 2 * cpu.sessions.base.vocabSize).join());
    }
    // Their first tokens are the same: what differs is the table.
    expect(new Set(answers).size).toBe(2);
    on.sessions.release();
    cpu.sessions.release();
  });

  describe('in an engine process', () => {
    it('answers, and is proved once for its graphs', async () => {
      const folder = folderOfFile();
      const { engine, files } = await startTiny(wish, folder);
      await engine.load('upper', files['upper'] ?? '');
      expect((await ask(engine, request('upper', 'moon:'))).text).toBe(' MOON!');
      expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
      expect(engine.info().executionProvider).toBe(provider);
      await engine.close();
    });
  });
};
