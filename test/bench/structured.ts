import { join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import type { GenerateInput, Structure } from '../../src/runtime/engine/engine.ts';
import { extractRows, extractSchema, extractTokens, isExtract } from '../support/json-extract.ts';
import { modelsFolder, smollm } from '../support/models.ts';
import { benchEngine, compileFor, scratchFolder } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const threads = 2;
const rounds = roundsOf(5);
/** Requests that run together. */
const rows = 8;
const adapters = ['json-extract-v1', 'json-extract-v2'] as const;
const arms = ['with', 'without'] as const;
type Arm = (typeof arms)[number];
const structure: Structure = { kind: 'json', source: JSON.stringify(extractSchema) };

type Asked = {
  readonly text: string;
  readonly tokens: number;
  /** From the request to its first token, and to its end. */
  readonly firstMs: number;
  readonly ms: number;
};

const ask = async (
  engine: EngineClient,
  {
    adapter,
    prompt,
    given,
  }: { readonly adapter: string; readonly prompt: string; readonly given?: Structure },
): Promise<Asked> => {
  const started = performance.now();
  const input: GenerateInput = {
    requestId: 'bench',
    engineName: adapter,
    prompt: { kind: 'text', text: prompt },
    maxTokens: extractTokens,
    sampling: { temperature: 0, topK: 0, topP: 1 },
    stop: [],
    ...(given === undefined ? {} : { structure: given }),
  };
  let [text, tokens, firstMs] = ['', 0, 0];
  for await (const event of engine.generate(input, new AbortController().signal)) {
    if (event.kind === 'done') continue;
    if (tokens === 0) firstMs = performance.now() - started;
    text += event.text;
    tokens += event.ids.length;
  }
  return { text, tokens, firstMs, ms: performance.now() - started };
};

/** Tokens per second of each answer by itself, or of all of them where `together` run at a time. */
const speedOf = (asked: readonly Asked[], ms: number): number =>
  (1000 * asked.reduce((sum, { tokens }) => sum + tokens, 0)) / ms;

/**
 * Answers of the JSON adapters with their schema and without: tokens per second, one at a time and eight of two adapters together,
 * in rounds whose arms take turns; how many are valid, and exact. And the first token with a schema that is new.
 */
export const structured = async (): Promise<Report> => {
  const model = smollm();
  if (model === undefined) {
    throw new Error(`structured: ${modelsFolder()} has no smollm2-135m (ADAPTLET_MODELS says where to look)`);
  }
  using folder = scratchFolder();
  const held = extractRows(model);
  const shuffle = shuffler(1);
  const results: Record<string, ReturnType<typeof variant>> = {};
  const ratios: Record<string, number> = {};
  for (const { name, maxConcurrent, speculation } of [
    { name: 'alone', maxConcurrent: 1, speculation: false },
    { name: 'alone_guessing', maxConcurrent: 1, speculation: true },
    { name: 'together', maxConcurrent: rows, speculation: false },
  ]) {
    await using engine = await benchEngine({
      modelDir: model.modelDir,
      adapterBudgetBytes: 64 << 20,
      threads,
      speculation,
      maxConcurrent,
      maxQueue: held.length,
    });
    for (const adapter of adapters) {
      const file = join(folder.path, `${adapter}.bin`);
      await compileFor(engine.info(), join(model.adapters, adapter), file);
      await engine.load(adapter, file);
    }
    const requests = held.slice(0, 24).map(({ prompt }, index) => ({
      prompt,
      adapter: adapters[index % 2] ?? adapters[0],
    }));
    const run = async (arm: Arm): Promise<number> => {
      const started = performance.now();
      const given = arm === 'with' ? { given: structure } : {};
      const asked: Asked[] = [];
      const left = [...requests];
      const one = async (): Promise<void> => {
        for (let next = left.shift(); next !== undefined; next = left.shift())
          asked.push(await ask(engine, { ...next, ...given }));
      };
      await Promise.all(Array.from({ length: maxConcurrent }, one));
      return speedOf(asked, performance.now() - started);
    };
    for (const arm of arms) await run(arm);
    const speeds: Record<Arm, number[]> = { with: [], without: [] };
    for (let round = 0; round < rounds; round += 1)
      for (const arm of shuffle(arms)) speeds[arm].push(await run(arm));
    const pairs = speeds.with.map((speed, round) => speed / (speeds.without[round] ?? Number.NaN));
    ratios[`${name}_tokens_per_second`] = quantile(pairs, 0.5);
    for (const arm of arms) results[`${name}_${arm}`] = variant(speeds[arm]);
    console.error(`structured: ${name} ${pairs.map((pair) => pair.toFixed(2)).join(' ')}`);
    if (name !== 'alone') continue;
    for (const adapter of adapters) {
      for (const arm of arms) {
        const given = arm === 'with' ? { given: structure } : {};
        const texts: string[] = [];
        for (const { prompt } of held) texts.push((await ask(engine, { adapter, prompt, ...given })).text);
        const short = adapter.replace('json-extract-', '');
        ratios[`${short}_valid_${arm}`] = texts.filter(isExtract).length / held.length;
        ratios[`${short}_exact_${arm}`] =
          texts.filter((text, index) => text === held[index]?.expected).length / held.length;
      }
    }
    const [first] = requests;
    const news: number[] = [];
    for (let index = 0; first !== undefined && index < 20; index += 1) {
      const source = JSON.stringify({ ...extractSchema, description: `${index}` });
      const cold = await ask(engine, { ...first, given: { kind: 'json', source } });
      const warm = await ask(engine, { ...first, given: { kind: 'json', source } });
      news.push(cold.firstMs - warm.firstMs);
    }
    results['new_structure_extra_ms'] = variant(news);
  }
  return report('structured', 'tokens per second', {
    results,
    ratios,
    setup: { model: 'SmolLM2-135M int4', threads, rounds, rows, adapters: adapters.join(', ') },
  });
};
