import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smollm } from '../support/models.ts';
import { RewardStory } from '../support/reward-story.ts';

const real = smollm();

describe.skipIf(real === undefined)(
  'an application that says how good its answers are (SmolLM2-135M int4)',
  () => {
    let story: RewardStory;
    beforeAll(async () => {
      if (real !== undefined) story = await RewardStory.begin(real);
    });
    afterAll(() => story?.[Symbol.asyncDispose]());

    it('has an adapter rolled back that answers well-formed and wrong, by its rewards alone', async () => {
      const passage = await story.rollOut('json-extract-v3-regressed');
      console.log(JSON.stringify(passage));
      expect(passage).toMatchObject({ phase: 'Degraded', stable: 'json-extract-v1', errors: 0 });
      expect(passage.message).toContain('metric quality: reward of the canary differs by');
      expect(passage.reward.canary).toBeLessThan(0.2);
      expect(passage.reward.stable).toBeGreaterThan(0.3);
      expect(passage.byCanary).toBeGreaterThanOrEqual(20);
      expect(passage.byCanary).toBeLessThan(passage.answers / 2);
      // Nothing else would have told: what it answers is JSON.
      expect(passage.malformed.canary).toBeLessThan(passage.byCanary / 10);
    });

    it('has a better one promoted afterwards', async () => {
      const passage = await story.rollOut('json-extract-v2');
      console.log(JSON.stringify(passage));
      expect(passage).toMatchObject({ phase: 'Healthy', stable: 'json-extract-v2', errors: 0 });
      expect(passage.reward.canary).toBeGreaterThan(0.3);
    });
  },
);
