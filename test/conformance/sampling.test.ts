import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput, Sampling, TakenLogprob } from '../../src/runtime/engine/engine.ts';
import { Choice } from '../../src/runtime/engine/sampling/choice.ts';
import { takenLogprob } from '../../src/runtime/engine/sampling/logprobs.ts';
import { makePenalties } from '../../src/runtime/engine/sampling/penalties.ts';
import { makeSampler } from '../../src/runtime/engine/sampling/sampling.ts';
import { ask, request, startTiny, type TestEngine } from './support/engine.ts';
import { golden, goldenLogits } from './support/tiny.ts';

type Fixture = {
  readonly logits: readonly number[];
  readonly prompt: readonly number[];
  readonly generated: readonly number[];
  readonly penalties: readonly (Required<
    Pick<Sampling, 'repetitionPenalty' | 'frequencyPenalty' | 'presencePenalty'>
  > & { readonly scores: readonly number[] })[];
  readonly warped: readonly (Required<Pick<Sampling, 'temperature' | 'topK' | 'topP' | 'minP'>> & {
    readonly kept: Readonly<Record<string, number>>;
  })[];
  readonly logprobs: readonly number[];
};

/** What transformers' logits processors make of logits; see the script beside it. */
const fixture = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/tokenizers/sampling.json'), 'utf8'),
) as Fixture;
const logits = Float32Array.from(fixture.logits);
const tolerance = 1e-6;

describe('the choice of a token', () => {
  it.each(fixture.penalties)(
    'has logits as transformers has them: repetition $repetitionPenalty, frequency $frequencyPenalty, presence $presencePenalty',
    ({ scores, ...penalties }) => {
      const off = { temperature: 1, topK: 0, topP: 1 };
      const made = makePenalties({ ...off, ...penalties }, fixture.prompt)!;
      for (const id of fixture.generated) made.took(id);
      const changed = Float32Array.from(fixture.logits);
      made.apply(changed);
      const worst = Math.max(...scores.map((score, id) => Math.abs(score - changed[id]!)));
      expect(worst).toBeLessThan(tolerance);
      expect(scores.some((score, id) => Math.abs(score - fixture.logits[id]!) > 0.1)).toBe(true);
    },
  );

  it.each(fixture.warped)(
    'leaves and draws tokens as transformers does: temperature $temperature, top-k $topK, top-p $topP, min-p $minP',
    ({ kept, ...sampling }) => {
      const choice = new Choice();
      choice.take(logits);
      const best = choice.likeliest();
      const left = choice.left(best, sampling);
      expect(left.toSorted((a, b) => a - b)).toEqual(Object.keys(kept).map(Number));
      let share = 0;
      for (const id of left) {
        const ends = [share + tolerance, share + kept[id]! - tolerance];
        share += kept[id]!;
        // Less cannot be told from what comes before it.
        if (kept[id]! < 3 * tolerance) continue;
        expect(ends.map((end) => choice.draw(best, sampling, end))).toEqual([id, id]);
      }
      expect(share).toBeCloseTo(1, 5);
    },
  );

  it('tells log probabilities as torch does, whatever was asked of the choice', () => {
    const describe_ = (id: number) => ({ token: String(id) });
    const likeliest = [...fixture.logprobs.entries()].sort((a, b) => b[1] - a[1]).slice(0, 5);
    const { top, logprob } = takenLogprob(logits, 17, {
      top: 5,
      describe: describe_,
      choice: new Choice(),
    });
    expect(Math.abs(logprob - fixture.logprobs[17]!)).toBeLessThan(tolerance);
    expect(top.map(({ id }) => id)).toEqual(likeliest.map(([id]) => id));
    for (const [index, [, expected]] of likeliest.entries())
      expect(Math.abs(top[index]!.logprob - expected)).toBeLessThan(tolerance);
  });

  it('leaves the logits as they were', () => {
    const before = logits.slice();
    const sampling = { temperature: 1, topK: 5, topP: 0.9, repetitionPenalty: 2, presencePenalty: 1 };
    makeSampler(sampling, () => 0.5, { promptIds: fixture.prompt })(logits);
    expect(logits).toEqual(before);
  });
});

describe('an engine on the tiny model', () => {
  const engines: TestEngine[] = [];
  const open = async (): Promise<TestEngine> => {
    const engine = await startTiny();
    engines.push(engine);
    return engine;
  };
  let tiny: TestEngine;
  beforeAll(async () => {
    tiny = await open();
  });
  afterAll(async () => {
    for (const { engine } of engines) await engine.close();
  });

  const full: Sampling = {
    temperature: 1.5,
    topK: 100,
    topP: 0.98,
    minP: 0.001,
    repetitionPenalty: 1.2,
    frequencyPenalty: 0.3,
    presencePenalty: 0.2,
    logitBias: [[104, 2]],
    seed: 42,
  };
  const idsOf = async ({ engine }: TestEngine, sampling: Sampling): Promise<readonly number[]> =>
    (await ask(engine, request(null, 'moon:', { sampling }))).ids;

  it('gives the same tokens for the same seed: alone, beside others, and after a restart', async () => {
    const alone = await idsOf(tiny, full);
    expect(alone.length).toBeGreaterThan(3);
    const beside = await Promise.all([
      idsOf(tiny, full),
      idsOf(tiny, { ...full, seed: 43 }),
      idsOf(tiny, full),
    ]);
    expect([beside[0], beside[2]]).toEqual([alone, alone]);
    expect(beside[1]).not.toEqual(alone);
    expect(await idsOf(await open(), full)).toEqual(alone);
  });

  it('obeys bias and penalties when it is greedy', async () => {
    const greedy = { temperature: 0, topK: 0, topP: 1 };
    const plain = await idsOf(tiny, greedy);
    const banned = plain[0]!;
    expect(await idsOf(tiny, { ...greedy, logitBias: [[banned, -100]] })).not.toContain(banned);
    // The model is too sure of itself for what the protocols allow.
    const repeats = (ids: readonly number[]): number => ids.length - new Set(ids).size;
    const fresh = await idsOf(tiny, { ...greedy, frequencyPenalty: 50 });
    expect(repeats(fresh) / fresh.length).toBeLessThan(repeats(plain) / plain.length);
  });

  it('is told min_tokens, ignore_eos and bad_words', async () => {
    const asked = (more: Partial<GenerateInput>) => ask(tiny.engine, request(null, 'moon:', more));
    const plain = await asked({});
    expect(plain.done.finishReason).toBe('stop');
    const least = plain.ids.length + 2;
    expect((await asked({ minTokens: least })).ids.length).toBeGreaterThanOrEqual(least);
    expect((await asked({ ignoreEos: true })).ids).toHaveLength(32);
    const word = plain.text.slice(1, 3);
    expect((await asked({ badWords: [word] })).text).not.toContain(word);
  });

  it('ends at a stop token, which has no text', async () => {
    const plain = await ask(tiny.engine, request(null, 'moon:'));
    const stopped = await ask(tiny.engine, request(null, 'moon:', { stopTokenIds: [plain.ids[4]!] }));
    expect(stopped.ids).toEqual(plain.ids.slice(0, 1 + plain.ids.indexOf(plain.ids[4]!)));
    expect(stopped.done.finishReason).toBe('stop');
    expect(plain.text.startsWith(stopped.text)).toBe(true);
    expect(stopped.text.length).toBe(stopped.ids.length - 1);
  });

  it('tells the log probability of each token by the model alone, and of the likeliest ones', async () => {
    const [{ text, input_ids }] = golden.prompts as [(typeof golden.prompts)[number]];
    const [all] = goldenLogits('base') as [Float32Array];
    const last = all.subarray((input_ids.length - 1) * golden.vocab_size);
    const total = Math.log(last.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const scored = async (sampling: Sampling): Promise<readonly TakenLogprob[]> => {
      const out: TakenLogprob[] = [];
      const input = request(null, text, { sampling, logprobs: 3 });
      for await (const event of tiny.engine.generate(input, new AbortController().signal))
        if (event.kind === 'token') {
          expect(event.logprobs?.map(({ id }) => id)).toEqual(event.ids);
          out.push(...(event.logprobs ?? []));
        }
      return out;
    };
    for (const sampling of [{ temperature: 0, topK: 0, topP: 1 }, full]) {
      const [first] = await scored(sampling);
      expect(first!.top).toHaveLength(3);
      for (const { id, logprob } of [first!, ...first!.top])
        expect(Math.abs(logprob - (last[id]! - total))).toBeLessThan(1e-4);
    }
    const greedy = await scored({ temperature: 0, topK: 0, topP: 1 });
    expect(greedy.every(({ id, top }) => id === top[0]!.id)).toBe(true);
    // The bytes of the tokens are the text; the end token has none.
    const answer = await ask(tiny.engine, request(null, text));
    expect(Buffer.from(greedy.flatMap(({ bytes = [] }) => bytes)).toString()).toBe(answer.text);
    expect(greedy.at(-1)).toMatchObject({ token: '<|im_end|>' });
    expect(greedy.at(-1)).not.toHaveProperty('bytes');
  });
});
