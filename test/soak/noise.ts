import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import type { GenerateInput, TakenLogprob } from '../../src/runtime/engine/engine.ts';
import type { SoakModel } from './models.ts';
import { Requests } from './requests.ts';
import { choices } from './soak.ts';
import { loadAll, startFor } from './stage.ts';

/** How far rounding moves the difference of the two likeliest tokens' logits, in nats. */
export type Noise = {
  readonly model: string;
  readonly places: number;
  readonly median: number;
  readonly p99: number;
  readonly most: number;
};

const tokens = 24;

const taken = async (engine: EngineClient, input: GenerateInput): Promise<TakenLogprob[]> => {
  const all: TakenLogprob[] = [];
  for await (const event of engine.generate(input, new AbortController().signal))
    if (event.kind === 'token') all.push(...(event.logprobs ?? []));
  return all;
};

/** The difference of the same two tokens in another computation; undefined where it does not list them. */
const sameGap = (top: TakenLogprob['top'], other: TakenLogprob['top']): number | undefined => {
  const [first, second] = top;
  const of = (id: number | undefined) => other.find((token) => token.id === id)?.logprob;
  const [a, b] = [of(first?.id), of(second?.id)];
  if (first === undefined || second === undefined || a === undefined || b === undefined) return undefined;
  return Math.abs(first.logprob - second.logprob - (a - b));
};

/**
 * Measures what the epsilon of near ties has to allow: the same tokens in other shapes. Each place of an answer is
 * computed as one step of decoding, and again as the last token of one prefill.
 */
export const measureNoise = async (model: SoakModel, seed: number, answers: number): Promise<Noise> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-noise-'));
  const engine = await startFor(model, folder, { adapterBudgetBytes: model.memoryBytes });
  try {
    const { files } = await loadAll(model, engine, folder);
    const names = [null, ...files.keys()];
    const requests = new Requests(model, engine.info(), choices(seed, 1));
    const moved: number[] = [];
    for (let answer = 0; answer < answers; answer += 1) {
      const promptIds = requests.next().promptIds.slice(0, 100);
      const input = (ids: readonly number[], maxTokens: number): GenerateInput => ({
        requestId: 'noise',
        engineName: names[answer % names.length] ?? null,
        prompt: { kind: 'ids', ids },
        maxTokens,
        sampling: { temperature: 0, topK: 0, topP: 1, logitBias: model.endIds.map((id) => [id, -100]) },
        stop: [],
        logprobs: 20,
      });
      const decoded = await taken(engine, input(promptIds, tokens));
      for (const [at, { top }] of decoded.entries()) {
        const before = decoded.slice(0, at).map(({ id }) => id);
        const [prefilled] = await taken(engine, input([...promptIds, ...before], 1));
        const gap = sameGap(top, prefilled?.top ?? []);
        if (gap !== undefined && at > 0) moved.push(gap);
      }
    }
    moved.sort((a, b) => a - b);
    const at = (share: number): number => moved[Math.floor((moved.length - 1) * share)] ?? NaN;
    return { model: model.name, places: moved.length, median: at(0.5), p99: at(0.99), most: at(1) };
  } finally {
    await engine.close();
    await rm(folder, { recursive: true, force: true });
  }
};
