import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../src/api/names.fixture.ts';
import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import { catalogue } from '../../src/errors/catalogue.ts';
import { composeAdapters } from '../../src/runtime/adapter/composition/compose.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import {
  exactnessCases,
  exactnessFolder,
  exactTolerance,
  expectations,
  made,
} from './support/exactness-cases.ts';
import { allLogits, type OpenModel, openModel, withLora } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { compileFor, maxDifference, tinyModel } from './support/tiny.ts';

/** Logits that PEFT gives, prompt after prompt, the last positions of each. */
const goldenOf = (name: string): Float32Array => {
  const bytes = readFileSync(join(exactnessFolder, name, 'golden.f32'));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

const lastPositions = (logits: Float32Array, prompt: readonly number[]): Float32Array =>
  logits.slice((logits.length / prompt.length) * (prompt.length - made.positions));

/** Where the advice depends on the cause, and not on the code alone. */
const adviceOfCase: Readonly<Record<string, string>> = {
  'layers-regex': 'Write target_modules as a list, or remove layers_to_transform.',
  'layers-pattern-alone': 'Add layers_to_transform, or remove layers_pattern.',
  'task-seq2seq': 'Use an adapter whose `task_type` is CAUSAL_LM, or absent.',
};

const adviceOf = (name: string, code: string | undefined): string =>
  adviceOfCase[name] ??
  Object.entries(catalogue).find(([known]) => known === code)?.[1].advice ??
  'a code of the catalogue';

/** With the native operator, or without. */
const casesHere = exactnessCases.map(({ name, result }) => {
  const native = operator === undefined ? 'ADAPTER_NEEDS_OPERATOR' : 'exact';
  const isIa3 = result === 'ADAPTER_IA3' && operator === undefined;
  return { name, result: result === 'native' || isIa3 ? native : result };
});

const joined = (parts: readonly Float32Array[]): Float32Array =>
  Float32Array.from(parts.flatMap((part) => [...part]));

describe('adapters made by PEFT', () => {
  const folder = folderOfTests();
  let model: OpenModel;
  let unadapted: Float32Array;

  const answerWith = async (name?: string): Promise<Float32Array> => {
    const from = name === undefined ? withLora(model.sessions.base) : model.adapters.get(name);
    const parts: Float32Array[] = [];
    for (const ids of made.prompts) parts.push(lastPositions(await allLogits(from, ids), ids));
    return joined(parts);
  };

  beforeAll(async () => {
    model = await openModel(tinyModel('fp32'), folder);
    unadapted = await answerWith();
  });
  afterAll(() => model.sessions.release());

  it('are each expected to be exact or refused, and each row of the reference is one of them', () => {
    const folders = readdirSync(exactnessFolder, { withFileTypes: true });
    const names = folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    expect(Object.keys(expectations).sort()).toEqual(names.sort());
    expect(made.cases.map((row) => row.name).sort()).toEqual(names);
    const page = readFileSync(join(import.meta.dirname, '../../docs/reference/adapter-support.md'), 'utf8');
    const proven = [...page.matchAll(/exactness\.test\.ts\): `([^`]+)`/g)].map(([, name = '']) => name);
    expect(proven.sort()).toEqual(names);
  });

  it.each(casesHere.filter((row) => row.result === 'exact'))(
    '$name: gives the logits of PEFT',
    async ({ name }) => {
      await model.adapters.load(name, await compileFor(model.info, join(exactnessFolder, name), folder));
      const answer = await answerWith(name);
      expect(maxDifference(answer, goldenOf(name))).toBeLessThanOrEqual(exactTolerance);
      // Far enough from the base that a wrong factor or a module left out shows.
      if (name === 'alpha-zero') expect(maxDifference(answer, unadapted)).toBe(0);
      else expect(maxDifference(answer, unadapted)).toBeGreaterThan(1000 * exactTolerance);
    },
  );

  it.each(['pissa-trained', 'olora-trained', 'corda-trained', 'lora-ga-trained'])(
    '%s: gives the logits of PEFT once its initial adapter is subtracted',
    async (name) => {
      const trained = join(exactnessFolder, name);
      const outFolder = join(folder, `${name}-plain`);
      await composeAdapters({
        parents: [{ folder: trained, digest: fakeDigest('a'), weight: 1 }],
        initial: { folder: join(trained, 'initial'), digest: fakeDigest('b') },
        method: 'cat',
        outFolder,
        maxRank: 256,
      });
      await model.adapters.load(name, await compileFor(model.info, outFolder, folder));
      const answer = await answerWith(name);
      expect(maxDifference(answer, goldenOf(name))).toBeLessThanOrEqual(exactTolerance);
      expect(maxDifference(answer, unadapted)).toBeGreaterThan(1000 * exactTolerance);
    },
  );

  it.each(casesHere.filter((row) => row.result !== 'exact'))(
    '$name: is refused with $result',
    async ({ name, result }) => {
      const refusal: unknown = await compileFor(model.info, join(exactnessFolder, name), folder).catch(
        (error: unknown) => error,
      );
      expect(refusal).toBeInstanceOf(AdaptletError);
      expect(refusal).toMatchObject({
        code: result,
        message: expect.stringContaining(adviceOf(name, result)),
      });
    },
  );
});
