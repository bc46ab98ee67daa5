import { smollm } from '../support/models.ts';
import { type Passage, RewardStory } from '../support/reward-story.ts';
import { type Report, report, variant } from './report.ts';

const rounds = 3;

/**
 * How many are served by an adapter that answers well-formed and wrong, until the rewards of its callers have it rolled
 * back: json-extract-v1 is stable, v3-regressed the canary of a quarter of 200 users, v2 the canary after that.
 */
export const reward = async (): Promise<Report> => {
  const real = smollm();
  if (real === undefined) throw new Error('the bench reward needs SmolLM2 (ADAPTLET_MODELS)');
  await using story = await RewardStory.begin(real);
  const regressed: Passage[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const passage = await story.rollOut('json-extract-v3-regressed');
    console.error(`reward: ${JSON.stringify(passage)}`);
    regressed.push(passage);
    await story.settle('json-extract-v1');
  }
  const better = await story.rollOut('json-extract-v2');
  console.error(`reward: ${JSON.stringify(better)}`);
  const sum = (of: (passage: Passage) => number): number => regressed.reduce((all, one) => all + of(one), 0);
  return report('reward', 'answers', {
    results: {
      until_rolled_back: variant(regressed.map(({ answers }) => answers)),
      by_regressed: variant(regressed.map(({ byCanary }) => byCanary)),
      users_of_regressed: variant(regressed.map(({ usersOfCanary }) => usersOfCanary)),
      until_promoted: variant([better.answers]),
    },
    ratios: {
      rolled_back: regressed.filter(({ phase }) => phase === 'Degraded').length / rounds,
      promoted: better.stable === 'json-extract-v2' ? 1 : 0,
      answers_by_regressed: sum(({ byCanary }) => byCanary) / sum(({ answers }) => answers),
      users_of_regressed: sum(({ usersOfCanary }) => usersOfCanary) / (rounds * 200),
      failed_requests: sum(({ errors }) => errors) + better.errors,
      malformed_by_regressed: sum(({ malformed }) => malformed.canary) / sum(({ byCanary }) => byCanary),
      reward_stable:
        sum(({ reward: r, answers, byCanary }) => r.stable * (answers - byCanary)) /
        sum(({ answers, byCanary }) => answers - byCanary),
      reward_regressed:
        sum(({ reward: r, byCanary }) => r.canary * byCanary) / sum(({ byCanary }) => byCanary),
      reward_better: better.reward.canary,
    },
    setup: { model: 'SmolLM2-135M int4', threads: 2, users: 200, lanes: 4, weight: 25, min_sample_size: 20 },
  });
};
