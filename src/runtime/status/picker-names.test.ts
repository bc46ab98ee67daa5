import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { RolloutView } from '../admin/views.ts';
import type { AdapterView } from '../residency/adapter-view.ts';
import { FakeAdmin } from '../server/testing/fake-admin.ts';
import { pickerNames } from './picker-names.ts';

const status = new FakeAdmin().status();
const [adapter] = status.adapters as [AdapterView];
const [rollout] = status.rollouts as [RolloutView];

/** Adapters of team-a with 100 bytes each in RAM, unless they say otherwise. */
const adapters = (views: Readonly<Record<string, Partial<AdapterView>>>): AdapterView[] =>
  Object.entries(views).map(([name, view]) => ({ ...adapter, key: objectKey('team-a', name), ...view }));
const stored = { state: 'Stored', residentBytes: 0 };
const rolloutOf = (name: string, arms: Partial<RolloutView>): RolloutView => ({
  ...rollout,
  key: objectKey('team-a', name),
  canary: '',
  effectiveWeight: 0,
  ...arms,
});
const namesOf = (
  views: Parameters<typeof adapters>[0],
  rollouts: readonly RolloutView[] = [],
  budgetBytes = 1000,
) => pickerNames({ adapters: adapters(views), rollouts, memory: { usedBytes: 0, budgetBytes } });

it('an adapter in RAM is named as clients may name it: by its name, and with its namespace', () => {
  expect(namesOf({ sql: {}, chat: stored }).running).toEqual(['sql', 'team-a/sql']);
});

it('a rollout is named where an adapter is in RAM that serves its requests', () => {
  const rollouts = [
    rolloutOf('assistant', { stable: 'v1', canary: 'v2', effectiveWeight: 10 }),
    rolloutOf('idle', { stable: 'v1', canary: 'v2' }),
    rolloutOf('other', { stable: 'v3' }),
  ];
  const { running } = namesOf({ v1: stored, v2: {}, v3: stored }, rollouts);
  expect(running).toEqual(['v2', 'team-a/v2', 'assistant', 'team-a/assistant']);
});

it('what requests wait for is named as waiting, and nothing else that is not in RAM', () => {
  const names = namesOf({ a: {}, b: { ...stored, waiting: 2 }, c: stored }, [
    rolloutOf('r', { stable: 'b' }),
  ]);
  expect(names.running).toEqual(['a', 'team-a/a']);
  expect(names.waiting).toEqual(['b', 'team-a/b', 'r', 'team-a/r']);
});

it('a name that two namespaces have is listed once', () => {
  const both = [...adapters({ sql: {} }), { ...adapter, key: objectKey('team-b', 'sql') }];
  const { running } = pickerNames({ adapters: both, rollouts: [], memory: status.memory });
  expect(running).toEqual(['sql', 'team-a/sql', 'team-b/sql']);
});

it.each([
  ['nothing is in RAM yet', { a: stored, b: stored }, 1000, 2],
  ['nine more fit', { a: {} }, 1000, 9],
  ['what is awaited takes a place', { a: {}, b: { ...stored, waiting: 1 } }, 1000, 8],
  ['RAM is full', { a: {}, b: {} }, 200, 0],
  ['RAM is full and one is awaited', { a: {}, b: { ...stored, waiting: 1 } }, 100, 0],
  ['budgets shrank below what is there', { a: {}, b: {} }, 50, 0],
])('as many more are allowed as fit: %s', (_, views, budgetBytes, more) => {
  const { max, running, waiting } = namesOf(views, [], budgetBytes);
  expect(max - running.length - waiting.length).toBe(more);
});
