import { seededRandom } from '../../src/runtime/engine/random.ts';
import type { RequestContext } from '../../src/runtime/routing/request.ts';
import { scopeOf } from '../../src/runtime/serving/request-scope.ts';
import { benchBase, benchEngine, timedAnswer } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const threads = 2;
const probes = roundsOf(400);
const promptTokens = 96;

type Arm = 'across' | 'within';
type Truth = 'hit' | 'miss';

/**
 * How well one sees from times whether something is there: of a random hit and a random miss, how often the hit is the earlier one.
 * 0.5: not at all; 1: always. Area under the curve of receiver operating characteristics, by ranks (Hanley and McNeil, 1982).
 */
export const areaUnderCurve = (hits: readonly number[], misses: readonly number[]): number => {
  let earlier = 0;
  for (const hit of hits) for (const miss of misses) earlier += hit < miss ? 1 : hit === miss ? 0.5 : 0;
  return earlier / (hits.length * misses.length);
};

const context = (tenant: string): RequestContext => ({
  namespace: 'bench',
  model: '',
  tenant,
  headers: new Map(),
});

const randomPrompt = (random: () => number): readonly number[] =>
  Array.from({ length: promptTokens }, () => 100 + Math.floor(random() * 150));

/**
 * What an attacker sees by the time of a first token: whether a prompt was asked before, of another tenant of its namespace (`across`)
 * and of its own (`within`). A hit is a prompt that the victim asked a moment ago; a miss is one that nobody asked.
 */
export const sideChannel = async (): Promise<Report> => {
  const model = benchBase('side-channel');
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 64 << 20,
    threads,
    maxConcurrent: 4,
    maxQueue: 4,
    speculation: true,
  });
  const random = seededRandom(1);
  const shuffle = shuffler(1);
  const ask = async (tenant: string, prompt: readonly number[], tokens: number): Promise<number> => {
    const { scope } = scopeOf(context(tenant));
    const { atMs } = await timedAnswer(engine, null, { kind: 'ids', ids: prompt }, tokens, { scope });
    return atMs[0] ?? Number.NaN;
  };
  const times = { across: { hit: [], miss: [] }, within: { hit: [], miss: [] } } as Record<
    Arm,
    Record<Truth, number[]>
  >;
  // Unmeasured.
  for (let count = 0; count < 10; count += 1) await ask('warm', randomPrompt(random), 2);
  for (let probe = 1; probe <= probes; probe += 1) {
    const cases = (['across', 'within'] as const).flatMap((arm) =>
      (['hit', 'miss'] as const).map((truth) => ({ arm, truth })),
    );
    for (const { arm, truth } of shuffle(cases)) {
      const secret = randomPrompt(random);
      const guess = truth === 'hit' ? secret : randomPrompt(random);
      await ask('victim', secret, 2);
      times[arm][truth].push(await ask(arm === 'within' ? 'victim' : 'attacker', guess, 1));
    }
    if (probe % 50 === 0) console.error(`side-channel: ${probe} of ${probes} probes`);
  }
  const auc = (arm: Arm): number => areaUnderCurve(times[arm].hit, times[arm].miss);
  return report('side-channel', 'ms to the first token; auc: how well hits are told from misses by it', {
    results: {
      across_hit: variant(times.across.hit),
      across_miss: variant(times.across.miss),
      within_hit: variant(times.within.hit),
      within_miss: variant(times.within.miss),
    },
    ratios: {
      // The worse for whoever is spied on: also late hits would tell.
      auc_across: Math.max(auc('across'), 1 - auc('across')),
      auc_within: auc('within'),
      median_within_miss_over_hit: quantile(times.within.miss, 0.5) / quantile(times.within.hit, 0.5),
    },
    setup: { model: model.label, threads, probes, prompt_tokens: promptTokens },
  });
};
