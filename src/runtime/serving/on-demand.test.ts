import { expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import type { Decision } from '../routing/decision.ts';
import { context } from '../routing/plan.fixture.ts';
import { decided } from './ask-ahead.ts';
import type { Demand } from './demand.ts';
import { routeOnDemand } from './on-demand.ts';

const missing = 'team-a/v1' as ObjectKey;
const away: Decision = { candidates: [{ kind: 'unavailable', reason: 'away', rule: 'a', missing }] };
const base: Decision = { candidates: [{ kind: 'base', rule: 'b' }] };

it('a request that waited for an adapter waits for classifiers that it needs by then', async () => {
  const lacking: string[] = [];
  let [isHere, isKnown] = [false, false];
  const decide = (): Decision => {
    if (!isHere) return away;
    if (!isKnown) lacking.push('intent');
    return isKnown ? base : away;
  };
  const answer = async (): Promise<void> => {
    isKnown = true;
  };
  const awaited = (): Promise<void> | undefined => {
    if (lacking.length === 0) return undefined;
    lacking.length = 0;
    return answer();
  };
  const demand: Demand = {
    bring: async () => {
      isHere = true;
      return 'here';
    },
    used: () => undefined,
  };
  const route = () => decided(decide, awaited);
  expect(await routeOnDemand(route, context('m'), demand, new AbortController().signal)).toEqual(base);
});
