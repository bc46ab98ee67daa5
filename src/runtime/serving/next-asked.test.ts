import { expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import type { Candidate } from '../routing/decision.ts';
import { context, planOf, routeOf, rule, split } from '../routing/plan.fixture.ts';
import { buildTable } from '../routing/table.ts';
import { nextAsked } from './next-asked.ts';

const template = { baseModel: 'tiny', source: { oci: { image: 'registry.example/users/{user}:v1' } } };
const base = { name: 'tiny' };
const table = buildTable(
  planOf(
    split('team-a/sql'),
    routeOf('team-a/r', 'assistant', [
      rule({
        name: 'tasks',
        matches: [{ headers: [{ name: 'x-task', value: 'sql' }] }],
        targets: [
          { adapter: 'seldom', weight: 1 },
          { adapter: 'often', weight: 9 },
          { adapter: 'off', weight: 0 },
        ],
        fallback: [{ adapter: 'spare' }, { base: true }],
      }),
      rule({
        name: 'rollout',
        matches: [{ headers: [{ name: 'x-task', value: 'new' }] }],
        targets: [{ rollout: 'sql' }],
      }),
      rule({ name: 'personal', perUser: template }),
    ]),
  ),
  base,
);
const byAdapter = (name: string): Candidate => ({
  kind: 'adapter',
  key: `team-a/${name}` as ObjectKey,
  rollout: '',
  arm: '',
  rule: 'tasks',
});
const after = (served: Candidate, who: Parameters<typeof context>[1] = {}, of = table, model = 'assistant') =>
  nextAsked(of, context(model, { namespace: 'team-a', ...who }), served).map((one) =>
    typeof one === 'string' ? one : one.name,
  );

it('after one adapter of a route come the others, by weight, then what is fallen back to', () => {
  expect(after(byAdapter('often'))).toEqual(['team-a/seldom', 'team-a/spare']);
  expect(after({ kind: 'base', rule: 'tasks' })).toEqual(['team-a/often', 'team-a/seldom', 'team-a/spare']);
});

it('before them comes the adapter of the same user, unless that has just served', () => {
  const own = 'team-a/r/personal/u42';
  expect(after(byAdapter('often'), { user: 'u42' })).toEqual([own, 'team-a/seldom', 'team-a/spare']);
  const served = {
    kind: 'perUser',
    namespace: 'team-a',
    route: 'r',
    user: 'u42',
    template,
    rule: 'personal',
  } as const;
  expect(after(served, { user: 'u42' })).toEqual(['team-a/often', 'team-a/seldom', 'team-a/spare']);
});

it('a user without a usable id has none, nor one whose id makes no image', () => {
  for (const user of ['../etc', 'Anna', 'a..b'])
    expect(after(byAdapter('often'), { user })).toEqual(['team-a/seldom', 'team-a/spare']);
});

it('nor is one expected by a rule that other users or tenants have', () => {
  const rules = [
    rule({ name: 'own', matches: [{ user: { prefix: 'own.' } }], perUser: template }),
    rule({
      name: 'acme',
      matches: [{ tenant: { in: ['acme'] } }],
      targets: [{ adapter: 'acme', weight: 1 }],
    }),
    rule({
      name: 'all',
      targets: [
        { adapter: 'one', weight: 1 },
        { adapter: 'two', weight: 2 },
      ],
    }),
  ];
  const route = buildTable(planOf(routeOf('team-a/r', 'assistant', rules)), base);
  expect(after(byAdapter('one'), { user: 'ann' }, route)).toEqual(['team-a/two']);
  expect(after(byAdapter('one'), { user: 'own.ann', tenant: 'acme' }, route)).toEqual([
    'team-a/r/own/own.ann',
    'team-a/two',
    'team-a/acme',
  ]);
});

it('nor is one expected that the policy of the namespace, or the base model, does not allow', () => {
  const other = { ...template, baseModel: 'other' };
  const route = routeOf('team-a/r', 'assistant', [rule({ name: 'personal', perUser: other })]);
  const elsewhere = buildTable(planOf(route), base);
  expect(after({ kind: 'base', rule: '' }, { user: 'u42' }, elsewhere)).toEqual([]);
});

it('nothing is expected after a request for a name that is no route', () => {
  expect(after({ kind: 'base', rule: '' }, { user: 'u42' }, table, 'tiny')).toEqual([]);
  expect(after({ kind: 'base', rule: '' }, { user: 'u42' }, table, 'unknown')).toEqual([]);
});

it('no more than eight', () => {
  const targets = Array.from({ length: 12 }, (_, i) => ({ adapter: `a${i}`, weight: 1 }));
  const many = buildTable(planOf(routeOf('team-a/r', 'assistant', [rule({ name: 'all', targets })])), base);
  expect(after(byAdapter('a0'), {}, many)).toHaveLength(8);
});
