import { expect, it } from 'vitest';
import { adapter, arm, planOf, route, split } from './plans.fixture.ts';
import { differenceOf, selectionOf } from './selection.ts';

const none = { tier: 'None', held: false } as const;
const plan = planOf(
  adapter('disk', { tier: 'Disk' }),
  adapter('held', { tier: 'None', held: true }),
  ...['free', 'stable', 'former', 'canary', 'target', 'fallback', 'b/target', 'b/stable'].map((name) =>
    adapter(name, none),
  ),
  split('s', { stable: arm('stable'), former: arm('former') }),
  split('c', { stable: arm('stable'), canary: { ...arm('canary'), seed: '0123456789abcdef', attempt: 1 } }),
  route('r', { targets: ['target'], fallback: ['fallback', 'nothing'] }),
  route('b/r'),
);
const chosen = (...names: string[]) => {
  const { base, extra } = selectionOf(plan, names);
  return [...base.keys(), ...extra.keys()];
};

it('sends all Splits and Routes, and the adapters that are wanted or named in their namespace', () => {
  expect(chosen().sort()).toEqual(
    [
      ...['disk', 'held', 'stable', 'former', 'canary', 'target', 'fallback'].map(
        (name) => `AdapterSpec team-a/${name}`,
      ),
      'Route b/r',
      'Route team-a/r',
      'Split team-a/c',
      'Split team-a/s',
    ].sort(),
  );
});

it('adds the adapters that the runtime asked for', () => {
  expect(chosen('team-a/free', 'b/target', 'b/free').filter((key) => !chosen().includes(key))).toEqual([
    'AdapterSpec team-a/free',
    'AdapterSpec b/target',
  ]);
});

it('computes once for each plan what does not depend on the runtime, and leaves it as it is', () => {
  const before = chosen();
  expect(selectionOf(plan, []).base).toBe(selectionOf(plan, ['team-a/free']).base);
  selectionOf(plan, ['team-a/free']);
  expect(chosen()).toEqual(before);
});

it('knows which keys differ between two plans', () => {
  const from = planOf(adapter('same'), adapter('changed'), adapter('gone'));
  const to = planOf(adapter('same'), adapter('changed', { priority: 1 }), adapter('new'));
  expect(differenceOf(from, to)).toEqual([
    'AdapterSpec team-a/changed',
    'AdapterSpec team-a/new',
    'AdapterSpec team-a/gone',
  ]);
  expect(differenceOf(from, to)).toBe(differenceOf(from, to));
  expect(differenceOf(from, from)).toEqual([]);
});
