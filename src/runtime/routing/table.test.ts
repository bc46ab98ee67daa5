import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import type { Rule } from '../../api/route.ts';
import { context, everythingResident, planOf, routeOf, rule } from './plan.fixture.ts';
import { route } from './route.ts';
import { buildTable } from './table.ts';

const toBase = [rule({ name: 'all', targets: [{ base: true }] })];
const withPattern = (value: string): Rule[] => [
  {
    ...rule({ name: 'bad', targets: [{ base: true }] }),
    matches: [{ headers: [{ name: 'x-a', type: 'Regex', value }] }],
  },
];
const base = { name: 'tiny' };
const entry = (table: ReturnType<typeof buildTable>, key: string) => table.routes.get(key as ObjectKey);

describe('the routing table', () => {
  it('gives a model name that is taken twice to the oldest route, whatever the order of the plan', () => {
    const old = routeOf('team-a/z', 'assistant', toBase, '2026-01-01T00:00:00Z');
    const young = routeOf('team-a/a', 'assistant', toBase, '2026-02-01T00:00:00Z');
    for (const plan of [planOf(old, young), planOf(young, old)]) {
      const table = buildTable(plan, base);
      expect(table.namespaces.get('team-a')?.routes.get('assistant')?.name).toBe('z');
      expect(entry(table, 'team-a/a')).toMatchObject({
        accepted: false,
        message: expect.stringContaining('older route z'),
      });
    }
  });

  it('lets two namespaces use the same model name', () => {
    const table = buildTable(
      planOf(routeOf('team-a/r', 'm', toBase), routeOf('team-b/r', 'm', toBase)),
      base,
    );
    expect([...table.routes.values()].every(({ accepted }) => accepted)).toBe(true);
  });

  it('keeps the name of the base model for the base model', () => {
    const table = buildTable(planOf(routeOf('team-a/r', 'tiny', toBase)), base);
    expect(entry(table, 'team-a/r')).toMatchObject({
      accepted: false,
      message: expect.stringContaining('reserved'),
    });
  });

  it('refuses a route with a bad pattern by itself; its name answers with the reason', () => {
    const table = buildTable(
      planOf(routeOf('team-a/bad', 'bad', withPattern('(')), routeOf('team-a/good', 'good', toBase)),
      base,
    );
    expect(entry(table, 'team-a/good')?.accepted).toBe(true);
    expect(route(table, context('bad'), everythingResident, 'r1').candidates).toEqual([
      {
        kind: 'unavailable',
        rule: '',
        reason: expect.stringMatching(/^rule bad of route team-a\/bad cannot be used: .*RE2/),
      },
    ]);
  });

  it('takes over what it compiled for routes that did not change', () => {
    const before = buildTable(
      planOf(routeOf('team-a/r', 'm', toBase), routeOf('team-a/s', 'n', toBase)),
      base,
    );
    const after = buildTable(
      planOf(routeOf('team-a/r', 'm', toBase), routeOf('team-a/s', 'o', toBase)),
      base,
      before,
    );
    expect(entry(after, 'team-a/r')).toBe(entry(before, 'team-a/r'));
    expect(entry(after, 'team-a/s')).not.toBe(entry(before, 'team-a/s'));
  });
});
