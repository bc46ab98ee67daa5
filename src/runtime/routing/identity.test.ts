import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPerUserId } from '../../api/source.ts';
import { identityOf } from './identity.ts';

const headers = (given: Readonly<Record<string, string>>): Map<string, string> =>
  new Map(Object.entries(given));

describe('identity', () => {
  it('comes from headers, else from the body', () => {
    expect(
      identityOf(headers({ 'x-adaptlet-user': 'u42', 'x-adaptlet-tenant': 'acme' }), { session: 's1' }),
    ).toEqual({
      user: 'u42',
      session: 's1',
      tenant: 'acme',
    });
    expect(identityOf(headers({ 'x-adaptlet-user': 'gateway' }), { user: 'client' })).toEqual({
      user: 'gateway',
    });
  });

  it('takes an empty or blank value for absent', () => {
    expect(
      identityOf(headers({ 'x-adaptlet-user': '  ', 'x-adaptlet-session': '' }), { user: ' u1 ' }),
    ).toEqual({ user: 'u1' });
  });

  it('accepts what people use as ids', () => {
    for (const user of ['anna.müller@example.com', 'auth0|5f7c', 'John Doe', '山田', 'a'.repeat(256)]) {
      expect(identityOf(headers({}), { user })).toEqual({ user });
    }
  });

  it('refuses unprintable and over-long values, and says which', () => {
    for (const user of ['a\nb', 'a\u0000', '\u202eevil', '\ud800', 'a'.repeat(257)]) {
      expect(() => identityOf(headers({}), { user })).toThrow(
        expect.objectContaining({ code: 'REQUEST_INVALID' }),
      );
    }
    expect(() => identityOf(headers({ 'x-adaptlet-tenant': 'a\tb' }))).toThrow(
      /tenant \(x-adaptlet-tenant\)/,
    );
  });

  it.each([
    ['0', 0],
    [' 7 ', 7],
    ['+1000', 1000],
    ['-1000', -1000],
  ])('reads the priority %j', (value, priority) => {
    expect(identityOf(headers({ 'x-adaptlet-priority': value }))).toEqual({ priority });
  });

  it.each(['1001', '-1001', '1.5', '1e2', '0x10', 'high', '5, 5', '--1', '٣'])(
    'refuses the priority %j and says what it can be',
    (value) => {
      expect(() => identityOf(headers({ 'x-adaptlet-priority': value }))).toThrow(
        /priority \(x-adaptlet-priority\) must be a whole number from -1000 to 1000/,
      );
    },
  );

  it('reads that no tokens may be guessed, and refuses what is neither that nor auto', () => {
    const of = (value: string) => identityOf(headers({ 'x-adaptlet-speculation': value }));
    expect(of(' off ')).toEqual({ speculate: false });
    expect([of('auto'), of(' ')]).toEqual([{}, {}]);
    for (const value of ['on', 'false', 'OFF', '0'])
      expect(() => of(value)).toThrow(/speculation \(x-adaptlet-speculation\) must be auto or off/);
  });

  it('takes an empty priority for none', () => {
    expect(identityOf(headers({ 'x-adaptlet-priority': ' ' }))).toEqual({});
  });

  it('never lets a user id that could leave its folder into a path', () => {
    for (const id of ['u42', 'a', 'anna.b_c-d', 'a..b']) expect(isPerUserId(id)).toBe(true);
    for (const id of ['', '.', '..', '../x', '-a', 'A', 'ä', 'a/b', 'a\\b', 'a\n', 'a b', 'a'.repeat(64)]) {
      expect(isPerUserId(id)).toBe(false);
    }
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), (id) => {
        if (isPerUserId(id)) expect(id).toMatch(/^[a-z0-9][a-z0-9._-]*$/);
      }),
    );
  });
});
