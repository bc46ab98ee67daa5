import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Match } from '../../src/api/match.ts';
import type { ObjectKey } from '../../src/api/names.ts';
import { ruleSchema } from '../../src/api/route.ts';
import { resourceKey, versioned } from '../../src/plan/resources.ts';
import { untilReady } from '../../src/runtime/base-model/until-ready.ts';
import { calibrate } from '../../src/runtime/classifiers/calibration.ts';
import { decide } from '../../src/runtime/classifiers/decide.ts';
import { distil } from '../../src/runtime/classifiers/distil.ts';
import { compileExamples } from '../../src/runtime/classifiers/examples.ts';
import { compileKeywords } from '../../src/runtime/classifiers/keywords.ts';
import { likeness, prototypesOf } from '../../src/runtime/classifiers/prototypes.ts';
import type { Scorer } from '../../src/runtime/classifiers/scorer.ts';
import { probabilities, trainHead } from '../../src/runtime/classifiers/softmax.ts';
import { StaticTable } from '../../src/runtime/classifiers/static-table.ts';
import { toUnit } from '../../src/runtime/classifiers/vectors.ts';
import { readWordPieceFile } from '../../src/runtime/classifiers/word-piece-file.ts';
import { type EngineClient, startEngine } from '../../src/runtime/engine/client/client.ts';
import { openModelFolder } from '../../src/runtime/engine/model/folder.ts';
import type { RequestContext } from '../../src/runtime/routing/request.ts';
import { route } from '../../src/runtime/routing/route.ts';
import { buildTable } from '../../src/runtime/routing/table.ts';
import { systemClock } from '../../src/time/clock.ts';
import { minilm } from '../support/models.ts';
import { compileFor } from './base.ts';
import { type Report, report, type Variant, variant } from './report.ts';
import { patternsBench } from './routing/patterns.ts';
import { intentTexts, keywordsOf, type Labelled, paraphrases, trainingTexts } from './routing/texts.ts';

/** More than the 64 that an AdapterRoute may have: what a rule costs is seen better. */
const rules = 1000;
const requests = 20_000;
const never = new AbortController().signal;

/** Of the rule with a number: what can be looked up, and what each request has to be compared with. */
const kindsOf = {
  values: (index: number): readonly Match[] => [
    { headers: [{ name: 'x-department', type: 'Exact', value: `d${index}` }] },
    { user: { in: [`u${index}`, `v${index}`] } },
    { tenant: { in: [`t${index}`] } },
    { locale: { in: [`x${index}`] }, not: [{ task: { in: [`y${index}`] } }] },
  ],
  prefixes: (index: number): readonly Match[] => [
    { headers: [{ name: 'x-department', type: 'Prefix', value: `d${index}` }] },
    { user: { prefix: `u${index}` } },
    { not: [{ headers: [{ name: 'x-department', type: 'Prefix', value: 'm' }] }] },
    { not: [{ locale: { in: ['de'] } }] },
  ],
};

/** Microseconds of one decision: 1,000 rules of four kinds of matches, of which the last takes the request. */
const rulesBench = (kindsAt: (index: number) => readonly Match[]): Variant => {
  const made = Array.from({ length: rules }, (_, index) => {
    const kinds = kindsAt(index);
    const matches = index === rules - 1 ? [] : [kinds[index % kinds.length]];
    return ruleSchema.parse({ name: `r${index}`, matches, targets: [{ base: true }] });
  });
  const body = { uid: 'u', createdAt: '2026-01-01T00:00:00Z', model: 'm', rules: made };
  const resource = versioned({ type: 'Route', name: 'team-a/r' as ObjectKey, body });
  const table = buildTable(new Map([[resourceKey(resource), resource]]), { name: 'tiny' });
  const context: RequestContext = {
    namespace: 'team-a',
    model: 'm',
    user: 'somebody',
    tenant: 'acme',
    headers: new Map([
      ['x-department', 'medical'],
      ['x-adaptlet-locale', 'de-AT'],
    ]),
  };
  const facts = { serves: () => false, isHeld: () => false };
  const micros: number[] = [];
  for (let i = 0; i < requests; i++) {
    const started = performance.now();
    route(table, context, facts, 'r');
    if (i >= requests / 10) micros.push((performance.now() - started) * 1000);
  }
  return variant(micros);
};

type Measured = { readonly ms: Variant; readonly accuracy: readonly number[] };

/** How often each text is asked for; the first tenth of what is asked warms up. */
const rounds = 10;
const timed = (times: readonly number[]): Variant => variant(times.slice(times.length / rounds));

/** Accuracy on each set, and the milliseconds of each text. */
const measure = (scorer: Scorer, sets: readonly (readonly Labelled[])[]): Measured => {
  const thresholds = { name: 'c', minConfidence: 0, minMargin: 0 };
  const times: number[] = [];
  const accuracy = sets.map((set) => {
    const judged = Array.from({ length: rounds }, () => set)
      .flat()
      .map(({ text, label }) => {
        const started = performance.now();
        const labelled = decide(thresholds, scorer.score(text, 64));
        const ms = performance.now() - started;
        times.push(ms);
        return { expected: label, labelled, ms };
      });
    return calibrate(judged, scorer.labels, thresholds).accuracy;
  });
  return { ms: timed(times), accuracy };
};

const openEncoder = async (modelDir: string, cacheDir: string): Promise<EngineClient> => {
  const silent = (): void => undefined;
  const engine = startEngine({
    modelDir,
    cacheDir,
    adapterBudgetBytes: 64 << 20,
    threads: 1,
    maxConcurrent: 1,
    maxQueue: 4,
    maxBatch: 64,
    normalize: false,
    stallTimeoutMs: 60_000,
    clock: systemClock,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
  });
  await untilReady(engine);
  return engine;
};

let asked = 0;
const embed = async (
  engine: EngineClient,
  texts: readonly (
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'ids'; readonly ids: readonly number[] }
  )[],
): Promise<readonly Float32Array[]> => {
  const request = { requestId: `b${asked++}`, engineName: null, texts, output: 'embedding' } as const;
  const result = await engine.encode(request, never);
  if (result.kind !== 'embedding') throw new Error('it does not embed');
  return result.rows;
};

const unitOf = (vector: Float32Array | undefined): Float32Array =>
  toUnit(Float32Array.from(vector ?? [])) ?? new Float32Array(0);

/** The encoder itself with the same examples: by its process, a text at a time, as a route would ask. */
const encoderBench = async (
  engine: EngineClient,
  training: readonly Labelled[],
  sets: readonly (readonly Labelled[])[],
): Promise<Record<'prototypes' | 'softmax', Measured>> => {
  const vectors = await embed(
    engine,
    training.map(({ text }) => ({ kind: 'text', text })),
  );
  const samples = training.map(({ label }, index) => ({ vector: unitOf(vectors[index]), label }));
  const prototypes = [...Map.groupBy(samples, ({ label }) => label)].map(([label, members]) => ({
    label,
    of: prototypesOf(members.map(({ vector }) => vector)),
  }));
  const head = trainHead(samples, samples[0]?.vector.length ?? 0);
  const times: number[] = [];
  const right = { prototypes: sets.map(() => 0), softmax: sets.map(() => 0) };
  for (const [index, set] of sets.entries()) {
    for (const { text, label } of set) {
      const started = performance.now();
      const [row] = await embed(engine, [{ kind: 'text', text }]);
      const vector = unitOf(row);
      const scores = prototypes.map((one) => ({ label: one.label, score: likeness(vector, one.of) }));
      const best = scores.toSorted((a, b) => b.score - a.score)[0]?.label;
      times.push(performance.now() - started);
      const shares = probabilities(head, vector);
      if (best === label) right.prototypes[index] = (right.prototypes[index] ?? 0) + 1;
      if (head.labels[shares.indexOf(Math.max(...shares))] === label)
        right.softmax[index] = (right.softmax[index] ?? 0) + 1;
    }
  }
  const ms = variant(times);
  const share = (counts: readonly number[]) => counts.map((n, index) => n / (sets[index]?.length ?? 1));
  return {
    prototypes: { ms, accuracy: share(right.prototypes) },
    softmax: { ms, accuracy: share(right.softmax) },
  };
};

/** As `onnx` classifiers ask: an adapter with a head in the process of the encoder, 64 tokens, a text at a time. */
const headBench = async (
  engine: EngineClient,
  { adapter, folder }: { readonly adapter: string; readonly folder: string },
  sets: readonly (readonly Labelled[])[],
): Promise<Measured> => {
  const { file } = await compileFor(engine.info(), adapter, join(folder, 'head.bin'));
  await engine.load('head', file);
  const times: number[] = [];
  const accuracy: number[] = [];
  for (const set of sets) {
    let right = 0;
    for (const { text, label } of Array.from({ length: rounds }, () => set).flat()) {
      const texts = [{ kind: 'text', text }] as const;
      const request = {
        requestId: `h${asked++}`,
        engineName: 'head',
        texts,
        output: 'classification',
      } as const;
      const started = performance.now();
      const result = await engine.encode({ ...request, maxTokens: 64 }, never);
      times.push(performance.now() - started);
      if (result.kind === 'classification' && result.rows[0]?.label === label) right += 1;
    }
    accuracy.push(right / (rounds * set.length));
  }
  return { ms: timed(times), accuracy };
};

/**
 * Rules in microseconds; classifiers in milliseconds, and how many of two sets they get right: the intent set of MiniLM, and
 * paraphrases that share no template with what classifiers were given. Every kind has the same examples.
 */
export const routing = async (): Promise<Report> => {
  const rulesMicros = Object.entries(kindsOf).map(([name, kindsAt]): [string, Variant] => [
    `${rules} rules, ${name}`,
    rulesBench(kindsAt),
  ]);
  const patterns = patternsBench();
  const real = minilm();
  const training = trainingTexts();
  const sets = [real === undefined ? [] : intentTexts(real.eval), paraphrases()];
  const measured: Record<string, Measured> = {
    keywords: measure(compileKeywords(keywordsOf()), sets.slice(real === undefined ? 1 : 0)),
  };
  if (real === undefined) console.error('MiniLM was not found (ADAPTLET_MODELS): rules and keywords alone');
  else {
    const cacheDir = await mkdtemp(join(tmpdir(), 'adaptlet-bench-'));
    const engine = await openEncoder(real.modelDir, cacheDir);
    try {
      const tokens = readWordPieceFile(openModelFolder(real.modelDir));
      const table = await distil({
        ...tokens,
        dimensions: 128,
        maxTokens: 64,
        examples: training,
        embed: (ids) =>
          embed(
            engine,
            ids.map((id) => ({ kind: 'ids', ids: [tokens.before, id, tokens.after] })),
          ),
      });
      const labels = [...Map.groupBy(training, ({ label }) => label)].map(([name, rows]) => ({
        name,
        texts: rows.map(({ text }) => text),
      }));
      const opened = new StaticTable(table);
      measured['table, prototypes'] = measure(compileExamples(opened, labels, 64), sets);
      measured['table, softmax'] = measure(compileExamples(opened, undefined, 64), sets);
      const encoder = await encoderBench(engine, training, sets);
      measured['encoder, prototypes'] = encoder.prototypes;
      measured['encoder, softmax'] = encoder.softmax;
      const adapter = join(real.adapters, 'intent');
      measured['encoder, head of an adapter'] = await headBench(engine, { adapter, folder: cacheDir }, sets);
    } finally {
      await engine.close();
      await rm(cacheDir, { recursive: true, force: true });
    }
  }
  const names = real === undefined ? ['paraphrases'] : ['intent', 'paraphrases'];
  return report('routing', 'ms per text; rules and patterns: us per decision', {
    results: {
      ...Object.fromEntries(rulesMicros),
      'ten patterns of a prompt': patterns.micros,
      ...Object.fromEntries(Object.entries(measured).map(([name, { ms }]) => [name, ms])),
    },
    ratios: {
      'ten patterns of a prompt over searches for their places': patterns.ratio,
      ...Object.fromEntries(
        Object.entries(measured).flatMap(([name, { accuracy }]) =>
          accuracy.map((value, index) => [`accuracy of ${name} on ${names[index]}`, value]),
        ),
      ),
    },
    setup: {
      rules,
      training: training.length,
      intent: sets[0]?.length ?? 0,
      paraphrases: sets[1]?.length ?? 0,
      dimensions: 128,
      maxTokens: 64,
    },
  });
};
