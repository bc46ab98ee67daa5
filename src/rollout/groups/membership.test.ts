import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupPoints } from '../../api/group-status.ts';
import { amountOf, type Group, groupSchema } from '../../api/groups.ts';
import { selects } from '../../api/selector.ts';
import { assignmentOf } from './assignment.ts';
import { type Bounds, type Entrant, groupOf, groupPointOf, reachOf } from './membership.ts';

const uid = 'rollout-1';
const site = fc.constantFrom('lab', 'shop', 'truck');
const runtime = fc.record({
  key: fc.stringMatching(/^n[a-z0-9]{1,6}$/).map((name) => `edge/${name}`),
  site,
  isConnected: fc.boolean(),
});
const runtimes = fc.uniqueArray(runtime, { maxLength: 40, selector: ({ key }) => key });
type Runtime = { readonly key: string; readonly site: string; readonly isConnected: boolean };

const group: fc.Arbitrary<Group> = fc
  .record({
    selector: fc.option(
      site.map((value) => ({ matchLabels: { site: value } })),
      { nil: undefined },
    ),
    limit: fc.option(
      fc.oneof(
        fc.integer({ min: 1, max: 10 }).map((count) => ({ count })),
        fc.integer({ min: 1, max: 100 }).map((percent) => ({ percentage: `${percent}%` })),
      ),
      { nil: undefined },
    ),
  })
  .map(({ selector, limit }) =>
    groupSchema.parse({ name: 'g', ...(selector && { selector }), ...(limit && { limit }) }),
  );
const groups = fc.array(group, { maxLength: 5 });

const entrantOf = ({ key, site: at, isConnected }: Runtime): Entrant => ({
  point: groupPointOf(uid, key),
  labels: { site: at },
  isConnected,
});
const begin = (specs: readonly Group[], fleet: readonly Runtime[]): Bounds[] => {
  const begun: Bounds[] = [];
  for (const spec of specs) {
    const reach = reachOf(spec, begun, fleet.map(entrantOf));
    begun.push({ reach, ...(spec.selector && { selector: spec.selector }) });
  }
  return begun;
};
const indexOf = (begun: readonly Bounds[], one: Runtime): number => {
  const found = groupOf(begun, entrantOf(one));
  return found === undefined ? -1 : begun.indexOf(found);
};

describe('which group a runtime is in', () => {
  it('does not change when others come and go, nor when another group begins', () => {
    fc.assert(
      fc.property(groups, runtimes, runtimes, (specs, fleet, others) => {
        const begun = begin(specs.slice(0, 2), fleet);
        const before = fleet.map((one) => indexOf(begun, one));
        const now = [...fleet.filter((_, i) => i % 2 === 0), ...others];
        const later = [...begun];
        for (const spec of specs.slice(2)) {
          const reach = reachOf(spec, later, now.map(entrantOf));
          later.push({ reach, ...(spec.selector && { selector: spec.selector }) });
        }
        for (const [i, one] of fleet.entries())
          if (before[i] !== -1) expect(indexOf(later, one)).toBe(before[i]);
      }),
      { numRuns: 500 },
    );
  });

  it('is one at most, whose selector matches it, and after a last group without limits exactly one', () => {
    fc.assert(
      fc.property(groups, runtimes, (specs, fleet) => {
        const all = [...specs, groupSchema.parse({ name: 'last' })];
        const begun = begin(all, fleet);
        for (const one of fleet) {
          const index = indexOf(begun, one);
          // Nobody who is connected is left for the last group, when it is not begun at all.
          if (index === -1) expect(begun.at(-1)?.reach).toBe(0);
          else expect(selects(all[index]?.selector, { site: one.site })).toBe(true);
          if (one.isConnected) expect(index).not.toBe(-1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the limits when it begins: as many as they say, one connected runtime at least', () => {
    fc.assert(
      fc.property(groups, runtimes, (specs, fleet) => {
        const begun = begin(specs, fleet);
        for (const [i, { selector, limit }] of specs.entries()) {
          const matching = fleet.filter(({ site: at }) => selects(selector, { site: at }));
          const members = fleet.filter((one) => indexOf(begun, one) === i);
          const free = matching.filter((one) => {
            const index = indexOf(begun.slice(0, i + 1), one);
            return index === -1 || index === i;
          });
          if (!free.some(({ isConnected }) => isConnected)) {
            expect(members).toEqual([]);
            continue;
          }
          expect(members.filter(({ isConnected }) => isConnected).length).toBeGreaterThan(0);
          const most =
            limit === undefined ? free.length : Math.min(amountOf(limit, matching.length), free.length);
          if (members.length > most) {
            // Only to find somebody who is there: all others are offline.
            expect(members.filter(({ isConnected }) => isConnected)).toHaveLength(1);
          } else expect(members).toHaveLength(most);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is spread evenly: a tenth of the points holds a tenth of the runtimes', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `edge/node-${i}`);
    const below = names.filter((name) => groupPointOf(uid, name) < groupPoints / 10).length;
    expect(Math.abs(below / names.length - 0.1)).toBeLessThan(0.01);
  });

  it('is the same for ever', () => {
    expect([groupPointOf('rollout-1', 'edge/a'), groupPointOf('rollout-2', 'edge/a')]).toMatchInlineSnapshot(`
      [
        204373256770150,
        236801908522582,
      ]
    `);
  });
});

describe('what a status gives a runtime', () => {
  const at = { key: 'edge/a', labels: { site: 'lab' } };
  const weights = { canary: 20, stable: 80, mirror: 5 };
  const one = (phase: 'Progressing' | 'Succeeded' | 'RolledBack', more = {}) => ({
    name: 'g',
    phase,
    hash: '',
    reach: groupPoints,
    weight: phase === 'Succeeded' ? 100 : 20,
    step: 0,
    message: '',
    ...more,
  });
  it.each([
    ['without groups: all of it', undefined, { isLoaded: true, weight: 20, mirror: 5 }],
    [
      'in the present group: its weight, and copies',
      [one('Progressing')],
      { isLoaded: true, weight: 20, mirror: 5 },
    ],
    [
      'in one that succeeded: everything, and no copies',
      [one('Succeeded')],
      { isLoaded: true, weight: 100, mirror: 0 },
    ],
    ['in one that went back: nothing', [one('RolledBack')], { isLoaded: false, weight: 0, mirror: 0 }],
    ['in none yet: nothing', [one('Progressing', { reach: 0 })], { isLoaded: false, weight: 0, mirror: 0 }],
    [
      'where its group is not open yet: nothing',
      [one('Progressing', { open: 0 })],
      { isLoaded: false, weight: 0, mirror: 0 },
    ],
    [
      'in one of other labels: nothing',
      [one('Progressing', { selector: { matchLabels: { site: 'shop' } } })],
      { isLoaded: false, weight: 0, mirror: 0 },
    ],
  ])('%s', (_, inGroups, given) => {
    expect(assignmentOf({ weights, ...(inGroups && { groups: inGroups }) }, uid, at)).toEqual(given);
  });

  it('is nothing once the canary was given up', () => {
    const abort = { at: '', reason: '', uid: '', digest: '' };
    expect(assignmentOf({ weights, abort }, uid, at)).toEqual({ isLoaded: false, weight: 0, mirror: 0 });
  });
});
