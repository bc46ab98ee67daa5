import { seededRandom } from '../../src/runtime/engine/random.ts';
import { benchBase, benchEngine, timedAnswer } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { noEnd } from './traffic/no-end.ts';

const threads = 2;
const rounds = roundsOf(5);
const conversation = { turns: 6, firstTokens: 256, questionTokens: 32, answerTokens: 32 };
const shared = { users: 8, systemTokens: 1000, questionTokens: 32, answerTokens: 4 };

type Ask = (prompt: readonly number[], maxTokens: number) => ReturnType<typeof timedAnswer>;
type Samples = Map<string, number[]>;

const add = (samples: Samples, key: string, value: number): void => {
  samples.set(key, [...(samples.get(key) ?? []), value]);
};

/** Tokens that no other prompt begins with. */
const randomTokens = (random: () => number, count: number): readonly number[] =>
  Array.from({ length: count }, () => 100 + Math.floor(random() * 150));

/** Each turn has all that was said before; milliseconds to the first token of each. */
const converse = async (ask: Ask, random: () => number, room: number): Promise<readonly number[]> => {
  const { turns, firstTokens, questionTokens, answerTokens } = conversation;
  let said = randomTokens(random, Math.min(firstTokens, Math.floor(room / 4)));
  const times: number[] = [];
  for (let turn = 0; turn < turns && said.length + answerTokens < room; turn += 1) {
    const { atMs, ids } = await ask(said, answerTokens);
    times.push(atMs[0] ?? Number.NaN);
    said = [...said, ...ids, ...randomTokens(random, questionTokens)];
  }
  return times;
};

/** Users one after the other, whose prompts begin with the same system prompt. */
const shareSystem = async (ask: Ask, random: () => number, room: number): Promise<readonly number[]> => {
  const { users, systemTokens, questionTokens, answerTokens } = shared;
  const system = randomTokens(random, Math.min(systemTokens, room - questionTokens - answerTokens));
  const times: number[] = [];
  for (let user = 0; user < users; user += 1) {
    const { atMs } = await ask([...system, ...randomTokens(random, questionTokens)], answerTokens);
    times.push(atMs[0] ?? Number.NaN);
  }
  return times;
};

/**
 * Time to the first token where keys and values of the beginning of a prompt are there: of later turns of a conversation over its first
 * one, and of users 2 to 8 over the first one who have one system prompt; with the cache and without, in the same rounds.
 */
export const prefix = async (): Promise<Report> => {
  const model = benchBase('prefix');
  const start = (prefixCache: boolean) =>
    benchEngine({
      modelDir: model.modelDir,
      adapterBudgetBytes: 64 << 20,
      threads,
      maxConcurrent: 8,
      maxQueue: 8,
      prefixCache,
    });
  await using on = await start(true);
  await using off = await start(false);
  const sampling = noEnd(model.modelDir);
  const room = on.info().contextLength;
  const samples: Samples = new Map();
  const shuffle = shuffler(1);
  const asks: Readonly<Record<'on' | 'off', Ask>> = {
    on: (prompt, most) =>
      timedAnswer(on, null, { kind: 'ids', ids: prompt }, most, { ...sampling, scope: 'bench' }),
    off: (prompt, most) =>
      timedAnswer(off, null, { kind: 'ids', ids: prompt }, most, { ...sampling, scope: 'bench' }),
  };
  // Once, unmeasured.
  for (const ask of Object.values(asks)) await ask(randomTokens(seededRandom(0), 200), 4);
  for (let round = 1; round <= rounds; round += 1) {
    for (const arm of shuffle(['on', 'off'] as const)) {
      const turns = await converse(asks[arm], seededRandom(round), room);
      for (const [turn, ms] of turns.entries()) {
        add(samples, `turn${turn + 1}_${arm}`, ms);
        add(samples, `turn${turn + 1}_over_1_${arm}`, ms / (turns[0] ?? Number.NaN));
      }
      const users = await shareSystem(asks[arm], seededRandom(round + 0.5), room);
      for (const [user, ms] of users.entries()) {
        add(samples, `${user === 0 ? 'user1' : 'users2to8'}_${arm}`, ms);
        if (user > 0) add(samples, `users2to8_over_1_${arm}`, ms / (users[0] ?? Number.NaN));
      }
      console.error(`prefix: cache ${arm}, round ${round} of ${rounds}`);
    }
  }
  const isRatio = (key: string): boolean => key.includes('_over_1_');
  return report('prefix', 'ms to first token', {
    results: Object.fromEntries(
      [...samples].filter(([key]) => !isRatio(key)).map(([key, values]) => [key, variant(values)]),
    ),
    ratios: Object.fromEntries(
      [...samples].filter(([key]) => isRatio(key)).map(([key, values]) => [key, quantile(values, 0.5)]),
    ),
    setup: {
      model: model.label,
      threads,
      rounds,
      conversation: `first prompt of ${conversation.firstTokens} tokens, then answers and questions of ${conversation.answerTokens}`,
      system_prompt_tokens: shared.systemTokens,
      question_tokens: shared.questionTokens,
    },
  });
};
