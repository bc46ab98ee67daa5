import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { benchBase, benchEngine, timedAnswer } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { noEnd } from './traffic/no-end.ts';

const threads = 1;
const rounds = roundsOf(10);
const characters = 131_000;
const answerTokens = 150;

const cjk = (random: () => number): string => String.fromCodePoint(0x4e00 + Math.floor(random() * 20_000));

/** Texts of 131,000 characters. All but the dashes have more tokens than a context of 8,192. */
const texts: Readonly<Record<string, (random: () => number) => string>> = {
  random_chinese: (random) => Array.from({ length: characters }, () => cjk(random)).join(''),
  one_chinese: (random) => cjk(random).repeat(characters),
  dashes: () => '-'.repeat(characters),
};
const arms = ['alone', ...Object.keys(texts)];

/** Sends a text again and again until `signal`, and waits for what becomes of each. */
const attack = async (engine: EngineClient, text: string, signal: AbortSignal): Promise<number> => {
  let sent = 0;
  while (!signal.aborted) {
    sent += 1;
    const input = {
      requestId: 'bench',
      engineName: null,
      prompt: { kind: 'text', text },
      maxTokens: 1,
      sampling: { temperature: 0, topK: 0, topP: 1 },
      stop: [],
      tenant: 'attacker',
    } as const;
    try {
      for await (const _ of engine.generate(input, signal));
    } catch {
      // Refused, or cut off at the end.
    }
  }
  return sent;
};

/**
 * Tokens of an answer beside someone who sends long texts, which the engine itself has to refuse or to read: servers refuse them earlier.
 * `gap`: between two tokens. `delay`: the largest gap of an answer over the median gap of the answer without an attacker in the same round.
 */
export const longTexts = async (): Promise<Report> => {
  const model = benchBase('long-texts');
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 64 << 20,
    threads,
    maxConcurrent: 4,
    maxQueue: 4,
  });
  const sampling = noEnd(model.modelDir);
  const samples = new Map<string, number[]>();
  const add = (key: string, values: readonly number[]): void => {
    samples.set(key, [...(samples.get(key) ?? []), ...values]);
  };
  const random = seededRandom(1);
  const shuffle = shuffler(1);
  const prompt = { kind: 'ids', ids: Array.from({ length: 32 }, (_, at) => 40 + at) } as const;
  let sent = 0;
  const measure = async (arm: string) => {
    const text = texts[arm]?.(random);
    const over = new AbortController();
    const attacker = text === undefined ? undefined : attack(engine, text, over.signal);
    const { atMs } = await timedAnswer(engine, null, prompt, answerTokens, sampling);
    over.abort();
    sent += (await attacker) ?? 0;
    return { first: atMs[0] ?? Number.NaN, gaps: atMs.slice(1).map((ms, at) => ms - (atMs[at] ?? 0)) };
  };
  // Unmeasured: the thread for long texts starts.
  for (const arm of arms) await measure(arm);
  for (let round = 1; round <= rounds; round += 1) {
    const found = new Map<string, Awaited<ReturnType<typeof measure>>>();
    for (const arm of shuffle(arms)) found.set(arm, await measure(arm));
    const usual = quantile(found.get('alone')?.gaps ?? [], 0.5);
    for (const [arm, { first, gaps }] of found) {
      add(`first_${arm}`, [first]);
      add(`gap_${arm}`, gaps);
      add(`delay_${arm}`, [Math.max(...gaps) - usual]);
    }
    console.error(`long-texts: round ${round} of ${rounds}`);
  }
  return report('long-texts', 'ms', {
    results: Object.fromEntries([...samples].map(([key, values]) => [key, variant(values)])),
    ratios: {},
    setup: {
      model: model.label,
      threads,
      rounds,
      characters,
      answer_tokens: answerTokens,
      texts_sent: sent,
    },
  });
};
