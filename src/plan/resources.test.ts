import { describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import { type RouteResource, versionOf } from './resources.ts';

const route = (name: string, model: string): RouteResource => ({
  type: 'Route',
  name: objectKey('team-a', name),
  body: { uid: name, createdAt: '', model, rules: [] },
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
