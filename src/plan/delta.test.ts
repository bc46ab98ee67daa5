import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import { canonicalJson } from './canonical.ts';
import { planDelta } from './delta.ts';
import { type Plan, type RouteResource, resourceKey } from './resources.ts';
import { versioned, versionOf } from './version.ts';

const route = (name: string, model: string): RouteResource => ({
  type: 'Route',
  name: objectKey('team-a', name),
  body: { uid: name, createdAt: '', model, rules: [] },
});
const planOf = (routes: readonly RouteResource[]): Plan =>
  new Map(routes.map((r) => [resourceKey(r), versioned(r)]));

const plans = fc
  .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('x', 'y')), {
    selector: ([name]) => name,
  })
  .map((list) => planOf(list.map(([name, model]) => route(name, model))));

describe('planDelta', () => {
  it('leads from one plan to the other, whatever they are', () => {
    fc.assert(
      fc.property(plans, plans, (from, to) => {
        const { changed, removed, same } = planDelta(from, to);
        const applied = new Map(from);
        for (const key of removed) applied.delete(key);
        for (const resource of changed) applied.set(resourceKey(resource), resource);
        expect(applied).toEqual(new Map(to));
        expect(changed.length + same.length).toBe(to.size);
      }),
    );
  });
  it('is empty between equal plans', () => {
    const plan = planOf([route('a', 'x'), route('b', 'y')]);
    expect(planDelta(plan, new Map(plan))).toEqual({
      changed: [],
      removed: [],
      same: ['Route team-a/a', 'Route team-a/b'],
    });
  });
});

describe('versionOf', () => {
  it('is 16 hexadecimal digits that change with the body', () => {
    expect(versionOf(route('a', 'x').body)).toMatch(/^[0-9a-f]{16}$/);
    expect(versionOf(route('a', 'x').body)).not.toBe(versionOf(route('a', 'y').body));
  });
  it('does not depend on the order of fields', () => {
    const { uid, createdAt, model, rules } = route('a', 'x').body;
    expect(versionOf({ rules, model, createdAt, uid })).toBe(versionOf({ uid, createdAt, model, rules }));
  });
});

describe('canonicalJson', () => {
  it('is JSON that reads back to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
  it('sorts keys at every level and leaves out what is undefined', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined, a: null }], a: 'x' })).toBe(
      '{"a":"x","b":[{"a":null,"d":1}]}',
    );
  });
  it('refuses numbers that JSON cannot hold', () => {
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(RangeError);
  });
});
