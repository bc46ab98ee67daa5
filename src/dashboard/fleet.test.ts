import { expect, it } from 'vitest';
import { fleetView, runtimesPage } from './fleet.ts';
import type { RuntimeRow } from './views.ts';

const row = (name: string, more: Partial<RuntimeRow> = {}): RuntimeRow => ({
  key: `edge/${name}`,
  node: name,
  baseModel: 'tiny',
  version: '0.1.0',
  state: 'Ready',
  message: '',
  labels: {},
  ...more,
});

it('counts runtimes by the value of a label, those without it as a group of their own', () => {
  const rows = [
    row('a', { labels: { zone: 'east' }, planAgeMs: 0 }),
    row('b', { labels: { zone: 'east' }, state: 'Away' }),
    row('c', { state: 'Held', planAgeMs: 4000 }),
  ];
  const view = fleetView(rows, 'zone');
  expect(view.groups.map(({ name, runtimes }) => [name, runtimes])).toEqual([
    ['', 1],
    ['east', 2],
  ]);
  expect(view.total.states).toEqual({ Away: 1, Held: 1, Cordoned: 0, NotReady: 0, Ready: 1 });
  expect(view.labels).toEqual(['zone']);
});

it('tells the ages of plans of those alone of which they are known', () => {
  const rows = Array.from({ length: 100 }, (_, i) => row(`n${i}`, { planAgeMs: i * 10 }));
  expect(fleetView([...rows, row('away', { state: 'Away' })], 'baseModel').total.ages).toEqual({
    known: 100,
    p50: 490,
    p99: 980,
    oldest: 990,
  });
});

it('says how many groups are left out', () => {
  const rows = Array.from({ length: 250 }, (_, i) => row(`n${i}`, { labels: { host: `h${i}` } }));
  const view = fleetView(rows, 'host');
  expect([view.groups.length, view.leftOut]).toEqual([200, 50]);
});

it('finds runtimes by state, group and a part of the name, those away first', () => {
  const rows = [row('b'), row('a'), row('far', { state: 'Away' }), row('x', { baseModel: 'other' })];
  const any = { by: 'baseModel', text: '', limit: 10 };
  const keys = (query: Parameters<typeof runtimesPage>[1]) =>
    runtimesPage(rows, query).items.map(({ key }) => key);
  expect(keys({ ...any, group: 'tiny' })).toEqual(['edge/far', 'edge/a', 'edge/b']);
  expect(keys({ ...any, state: 'Ready', text: 'a' })).toEqual(['edge/a']);
  expect(runtimesPage(rows, { ...any, limit: 1 })).toMatchObject({ total: 4, items: [{ key: 'edge/far' }] });
});
