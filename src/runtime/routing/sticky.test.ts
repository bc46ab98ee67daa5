import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../../api/classifier.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { KeptChoice, ServingFacts } from './decision.ts';
import { absent, type Labelled, silent } from './labelled.ts';
import {
  adapter,
  context,
  everythingResident,
  planOf,
  routeOf,
  rule,
  split,
  withCanary,
} from './plan.fixture.ts';
import { route } from './route.ts';
import { buildTable } from './table.ts';

const [v1, v2, v3] = [fakeDigest('1'), fakeDigest('2'), fakeDigest('3')];
const former = { adapter: 'v0', uid: 'uid-v0', digest: v3 };
const sticky = (change: Record<string, unknown> = {}, keeps = 'Version') =>
  rule({
    name: 'all',
    targets: [
      { rollout: 'sql', weight: 1 },
      { adapter: 'other', weight: 0 },
    ],
    stickyDecision: { keeps },
    fallback: [{ base: true }],
    ...change,
  });

/** What may serve a session that keeps `kept`, as `arm name` for each candidate. */
const candidatesOf = (
  kept: KeptChoice,
  {
    change = {},
    rules = [sticky()],
    facts = {},
  }: {
    readonly change?: Parameters<typeof split>[1];
    readonly rules?: Parameters<typeof routeOf>[2];
    readonly facts?: Partial<ServingFacts>;
  } = {},
): string[] => {
  const plan = planOf(
    split('team-a/sql', change),
    adapter('team-a/other'),
    routeOf('team-a/front', 'front', rules),
  );
  const table = buildTable(plan, { name: 'tiny' });
  const all = { ...everythingResident, ...facts, kept: () => kept };
  return route(table, context('front', { user: 'u1' }), all, 'r1').candidates.map((one) => {
    if (one.kind === 'adapter') return `${one.arm} ${one.key.split('/')[1]}`.trim();
    return one.kind;
  });
};

const of = (digest: typeof v1, arm: 'stable' | 'canary' | 'base' = 'stable'): KeptChoice => ({
  rule: 'all',
  target: 'rollout:sql',
  version: { arm, digest },
});

describe('a session that has a version of a rollout', () => {
  it('keeps stable where the weight would give it the canary', () => {
    expect(candidatesOf(of(v1), { change: withCanary(100) })).toEqual(['stable v1', 'base']);
  });

  it('keeps the canary at any weight above 0, with stable behind it', () => {
    const change = withCanary(1);
    expect(candidatesOf(of(v2, 'canary'), { change })).toEqual(['canary v2', 'stable v1', 'base']);
  });

  it('leaves a canary that was aborted, is held, or is not here', () => {
    const kept = of(v2, 'canary');
    expect(candidatesOf(kept, { change: withCanary(0) })).toEqual(['stable v1', 'base']);
    expect(candidatesOf(kept)).toEqual(['stable v1', 'base']);
    const held = { isHeld: (_: string, digest: string) => digest === v2 };
    for (const facts of [held, { serves: () => false }])
      expect(candidatesOf(kept, { change: withCanary(50), facts })).toEqual(['stable v1', 'base']);
  });

  it('goes to stable, not to another canary, when its canary is another by now', () => {
    expect(candidatesOf(of(v3, 'canary'), { change: withCanary(100) })).toEqual(['stable v1', 'base']);
  });

  it('keeps what was stable while the plan has it, it is here and nothing is against it', () => {
    expect(candidatesOf(of(v3), { change: { former } })).toEqual(['stable v0', 'stable v1', 'base']);
    expect(candidatesOf(of(v3))).toEqual(['stable v1', 'base']);
    expect(candidatesOf(of(v3), { change: { former }, facts: { isHere: () => false } })).toEqual([
      'stable v1',
      'base',
    ]);
    const troubleOf = (_: string, __: string, digest: string) =>
      digest === v3 ? { reason: 'held', isFinal: true } : undefined;
    expect(candidatesOf(of(v3), { change: { former }, facts: { troubleOf } })).toEqual(['stable v1', 'base']);
  });

  it('keeps the base model that answered for the rollout, while the rollout allows it', () => {
    const kept = of(fakeDigest('b'), 'base');
    expect(candidatesOf(kept, { change: { fallbackToBase: true } })).toEqual(['base', 'stable v1', 'base']);
    expect(candidatesOf(kept)).toEqual(['stable v1', 'base']);
  });
});

describe('a session that has a target', () => {
  it('keeps a fallback, and has the rule behind it', () => {
    expect(candidatesOf({ rule: 'all', target: 'base' })).toEqual(['base', 'stable v1']);
  });

  it('is decided anew where the rule has it no more, gives it no weight, keeps nothing any more, or is gone', () => {
    expect(candidatesOf({ rule: 'all', target: 'adapter:gone' })).toEqual(['stable v1', 'base']);
    expect(candidatesOf({ rule: 'all', target: 'adapter:other' })).toEqual(['stable v1', 'base']);
    expect(candidatesOf({ rule: 'former', target: 'base' })).toEqual(['stable v1', 'base']);
    const plain = rule({ name: 'all', targets: [{ rollout: 'sql' }], fallback: [{ base: true }] });
    expect(candidatesOf({ rule: 'all', target: 'base' }, { rules: [plain] })).toEqual(['stable v1', 'base']);
  });

  it('goes past rules that keep decisions and match by now, and leads to one before it that keeps nothing', () => {
    const first = { name: 'first', targets: [{ adapter: 'other' }], fallback: [] };
    const kept = ['stable v1', 'base'];
    expect(candidatesOf(of(v1), { rules: [sticky(first), sticky()] })).toEqual(kept);
    expect(candidatesOf(of(v1), { rules: [rule(first), sticky()] })).toEqual(['other']);
    expect(candidatesOf(of(v1), { rules: [sticky(), rule(first)] })).toEqual(kept);
    const matches = [{ user: { in: ['u2'] } }];
    expect(candidatesOf(of(v1), { rules: [rule({ ...first, matches }), sticky()] })).toEqual(kept);
    expect(candidatesOf(of(v1), { rules: [sticky(), sticky({ ...first, matches })] })).toEqual(kept);
  });

  it('does not need its request to match again', () => {
    const matches = [{ user: { in: ['u2'] } }];
    const last = rule({ name: 'last', targets: [{ adapter: 'other' }] });
    expect(candidatesOf(of(v1), { rules: [sticky({ matches }), last] })).toEqual(['stable v1', 'base']);
  });

  it('has what its rule falls back to when the target is not on this runtime', () => {
    const targets = [{ adapter: 'away' }];
    const kept = { rule: 'all', target: 'adapter:away' };
    expect(candidatesOf(kept, { rules: [sticky({ targets })] })).toEqual(['unavailable', 'base']);
  });
});

it('a version that a session kept is no more where its rule keeps targets by now', () => {
  expect(candidatesOf(of(v1), { change: withCanary(100), rules: [sticky({}, 'Target')] })).toEqual([
    'canary v2',
    'stable v1',
    'base',
  ]);
});

it('a decision that a classifier had no say in is kept by no session', () => {
  const matches = [{ classifier: { name: 'intent', labels: ['medical'] } }];
  const asks = rule({ name: 'medical', matches, targets: [{ base: true }] });
  const { body, ...named } = routeOf('team-a/front', 'front', [asks, sticky()]);
  const keywords = { labels: [{ name: 'medical', terms: [{ text: 'heart' }] }] };
  const classifiers = [classifierSchema.parse({ name: 'intent', minConfidence: 0.5, keywords })];
  const plan = planOf(split('team-a/sql', {}), { ...named, body: { ...body, classifiers } });
  const table = buildTable(plan, { name: 'tiny' });
  const keptBy = (labelled: Labelled) =>
    route(table, context('front', { user: 'u1' }), { ...everythingResident, classify: () => labelled }, 'r1')
      .candidates[0]?.keepable?.rule;
  expect(keptBy(silent('intent', 'nothing in the prompt speaks for a label'))).toBe('all');
  expect(keptBy(absent('intent', 'its encoder gave no answer'))).toBeUndefined();
});

describe('what a session is counted for', () => {
  const countedOf = (kept: KeptChoice | undefined, weight: number) => {
    const plan = planOf(
      split('team-a/sql', withCanary(weight)),
      routeOf('team-a/front', 'front', [sticky()]),
    );
    const facts = { ...everythingResident, ...(kept === undefined ? {} : { kept: () => kept }) };
    const table = buildTable(plan, { name: 'tiny' });
    const [first] = route(table, context('front', { user: 'u1' }), facts, 'r1').candidates;
    return first?.kind === 'adapter' ? first.split?.counted?.weight : undefined;
  };

  it('is the comparison of the arms only where chance decided, and not what it has already', () => {
    expect(countedOf(undefined, 100)).toBe(100);
    expect(countedOf(of(v2, 'canary'), 100)).toBeUndefined();
    expect(countedOf(of(v1), 100)).toBeUndefined();
    expect(countedOf(of(v1), 1)).toBeUndefined();
  });
});
