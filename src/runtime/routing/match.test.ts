import { describe, expect, it } from 'vitest';
import { compileMatches } from './match.ts';
import { context, rule } from './plan.fixture.ts';

const matches = (match: Record<string, unknown>, ...others: Record<string, unknown>[]) =>
  compileMatches(rule({ name: 'r', matches: [match, ...others], targets: [{ base: true }] }).matches);
const header = (type: string, value: string) => matches({ headers: [{ name: 'x-department', type, value }] });
const sends = (value: string) => context('m', { headers: { 'x-department': value } });

describe('the matches of a rule', () => {
  it('take every request when there are none', () => {
    expect(compileMatches([])(context('m'))).toBe(true);
  });

  it('compare a header exactly, by prefix, or by a pattern that covers the whole value', () => {
    expect(header('Exact', 'medical')(sends('medical'))).toBe(true);
    expect(header('Exact', 'medical')(sends('Medical'))).toBe(false);
    expect(header('Prefix', 'med')(sends('medical'))).toBe(true);
    expect(header('Prefix', 'med')(sends('amed'))).toBe(false);
    expect(header('Regex', 'med(ical)?')(sends('med'))).toBe(true);
    expect(header('Regex', 'med')(sends('medical'))).toBe(false);
  });

  it('need the header to be there', () => {
    expect(header('Regex', '.*')(context('m'))).toBe(false);
    expect(header('Prefix', 'a')(context('m', { headers: { 'x-other': 'a' } }))).toBe(false);
  });

  it('match in time linear in the value, whatever the pattern', () => {
    expect(header('Regex', '(a+)+b')(sends('a'.repeat(20_000)))).toBe(false);
  });

  it('compare the user by list or prefix and the tenant by list; an absent one does not match', () => {
    expect(matches({ user: { in: ['u1', 'u2'] } })(context('m', { user: 'u2' }))).toBe(true);
    expect(matches({ user: { in: ['u1', 'u2'] } })(context('m', { user: 'u3' }))).toBe(false);
    expect(matches({ user: { prefix: 'beta-' } })(context('m', { user: 'beta-7' }))).toBe(true);
    expect(matches({ user: { prefix: 'beta-' } })(context('m'))).toBe(false);
    expect(matches({ tenant: { in: ['acme'] } })(context('m', { tenant: 'acme' }))).toBe(true);
    expect(matches({ tenant: { in: ['acme'] } })(context('m', { user: 'acme' }))).toBe(false);
  });

  it('hold altogether within one match, and are alternatives of each other', () => {
    const both = {
      headers: [
        { name: 'x-a', value: '1' },
        { name: 'x-b', value: '2' },
      ],
      user: { in: ['u1'] },
    };
    const test = matches(both, { tenant: { in: ['acme'] } });
    expect(test(context('m', { user: 'u1', headers: { 'x-a': '1', 'x-b': '2' } }))).toBe(true);
    expect(test(context('m', { user: 'u1', headers: { 'x-a': '1' } }))).toBe(false);
    expect(test(context('m', { tenant: 'acme' }))).toBe(true);
  });
});
