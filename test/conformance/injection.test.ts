import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { familyOf } from '../../src/runtime/engine/onnx/families.ts';
import { readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { inject } from '../../src/runtime/engine/onnx/inject.ts';
import { gatherLogitsRows } from '../../src/runtime/engine/onnx/logits-rows.ts';
import { linearsOf } from '../../src/runtime/engine/onnx/sites.ts';
import { aboutFixture, fixtureGraph, fixtureNames } from '../support/fixture-models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { mergeAdapter, withFloatWeights } from './support/merge-weights.ts';
import {
  answer,
  distance,
  isAnswer,
  type Level,
  loraFeeds,
  onlyModule,
  openGraph,
  promptLength,
  sameBits,
  someAdapter,
  wantedRows,
} from './support/onnx-fixture.ts';

/** Largest difference to the graph with merged weights, whose answers are of the order of 1. */
const tolerance = 1e-4;

const opened: InferenceSession[] = [];
const open = async (graph: Buffer, level: Level, optimised?: string): Promise<InferenceSession> => {
  const session = await openGraph(graph, level, optimised);
  opened.push(session);
  return session;
};
afterAll(async () => {
  for (const session of opened) await session.release();
});

/** Operator and number of inputs of each linear: a bias that was merged into one is an input more. */
const formsOf = (graph: Buffer, modelType: string): readonly string[] =>
  linearsOf(readGraph(graph), familyOf(modelType)).flatMap(({ blocks }) =>
    blocks.map(({ node }) => `${node.opType} of ${node.inputs.length}`),
  );

describe.each(fixtureNames)('LoRA in %s', (name) => {
  const about = aboutFixture(name);
  const exported = fixtureGraph(name);
  const { model, sites } = inject(exported, familyOf(about.modelType));
  const adapter = someAdapter(sites);
  const isDecoder = about.modelType !== 'bert';
  let lora: InferenceSession;

  beforeAll(async () => {
    lora = await open(model, 'all');
  });

  it('reaches exactly the modules that PEFT has, with their features', () => {
    const expected = Object.entries(about.modules).map(([module, { in: inFeatures, out: outFeatures }]) => ({
      module,
      inFeatures,
      outFeatures,
    }));
    const inOrder = (a: { module: string }, b: { module: string }): number => (a.module < b.module ? -1 : 1);
    expect(sites.toSorted(inOrder)).toEqual(expected.toSorted(inOrder));
  });

  it.each<Level>(['disabled', 'all'])(
    'changes no bit of any output at rank 0 (optimisation %s)',
    async (level) => {
      const before = await answer(await open(exported, level));
      const after = await answer(await open(model, level), loraFeeds(sites, new Map()));
      expect(Object.keys(after)).toEqual(Object.keys(before));
      for (const [output, values] of Object.entries(before)) {
        expect({ output, same: sameBits(after[output]!, values) }).toEqual({ output, same: true });
      }
    },
  );

  it('changes the answer by each module alone, and by each in its own way', async () => {
    const seen = [await answer(lora, loraFeeds(sites, new Map()))];
    for (const { module } of sites) {
      const now = await answer(lora, loraFeeds(sites, onlyModule(adapter, module)));
      const answers = Object.keys(now).filter(isAnswer);
      for (const before of seen) {
        const most = Math.max(...answers.map((output) => distance(now[output]!, before[output]!)));
        expect(most, module).toBeGreaterThan(tolerance);
        expect(most, module).toBeLessThan(Infinity);
      }
      seen.push(now);
    }
  });

  it('gives what the graph with the adapter in its weights gives', async () => {
    const merged = await answer(await open(mergeAdapter(withFloatWeights(exported), about, adapter), 'all'));
    const injected = await answer(lora, loraFeeds(sites, adapter));
    const base = await answer(lora, loraFeeds(sites, new Map()));
    for (const [output, values] of Object.entries(merged)) {
      expect(distance(injected[output]!, values), output).toBeLessThan(tolerance);
      expect(distance(injected[output]!, base[output]!), output).toBeGreaterThan(0.01);
    }
  });

  it('reaches the same modules in the graph that the optimiser writes, and changes no bit there', async () => {
    const file = join(folderOfFile(), 'optimised.onnx');
    const before = await answer(await open(exported, 'all', file));
    const again = inject(readFileSync(file), familyOf(about.modelType));
    expect(again.sites).toEqual(sites);
    expect(formsOf(readFileSync(file), about.modelType)).toEqual(formsOf(exported, about.modelType));
    const optimised = await open(again.model, 'disabled');
    const none = await answer(optimised, loraFeeds(sites, new Map()));
    const adapted = await answer(optimised, loraFeeds(sites, adapter));
    const expected = await answer(lora, loraFeeds(sites, adapter));
    for (const [output, values] of Object.entries(before)) {
      expect(sameBits(none[output]!, values), output).toBe(true);
      expect(distance(adapted[output]!, expected[output]!), output).toBeLessThan(tolerance);
    }
    if (!isDecoder) return;
    const rows = await answer(
      await open(gatherLogitsRows(again.model), 'disabled'),
      loraFeeds(sites, adapter),
    );
    expect(sameBits(rows.logits!, adapted.logits!)).toBe(true);
  });

  if (isDecoder)
    it('gives the logits of the wanted rows only, the same ones', async () => {
      const rows = await open(gatherLogitsRows(model), 'all');
      const feeds = loraFeeds(sites, adapter);
      const whole = await answer(lora, feeds);
      const all = await answer(rows, feeds);
      expect(sameBits(all.logits!, whole.logits!)).toBe(true);
      expect(sameBits(all['next.logits']!, whole['next.logits']!)).toBe(true);
      const vocabulary = whole.logits!.length / promptLength;
      const row = (index: number): Float32Array =>
        whole.logits!.slice(index * vocabulary, (index + 1) * vocabulary);
      for (const index of [0, 3, promptLength - 1]) {
        const one = await answer(rows, feeds, wantedRows([index]));
        // One row is another kernel than several.
        expect(distance(one.logits!, row(index))).toBeLessThan(1e-5);
      }
    });
});
