import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { readToken, signToken } from './token.ts';

const key = Buffer.alloc(32, 7).toString('base64url');
const other = Buffer.alloc(32, 8).toString('base64url');
const whose = JSON.stringify(['team-a', null, null, 'u1', 's1']);
const choice = {
  rule: 'all',
  target: 'rollout:sql',
  version: { arm: 'canary', digest: fakeDigest('a') },
} as const;
const at = 1_700_000_000_000;
const token = signToken({ choice, at }, whose, key);

describe('a token of a session', () => {
  it('says what was signed', () => {
    expect(readToken(token, whose, key)).toEqual({ choice, at });
    const target = { rule: 'all', target: 'base' };
    const plain = signToken({ choice: target, at }, whose, key);
    expect(readToken(plain, whose, key)).toEqual({ choice: target, at });
  });

  it('is foreign to other callers, other sessions and other keys', () => {
    for (const another of [
      ['team-b', null, null, 'u1', 's1'],
      ['team-a', 'team-a/k', null, 'u1', 's1'],
      ['team-a', null, null, 'u2', 's1'],
      ['team-a', null, null, 'u1', 's2'],
      ['team-a', null, null, 'u1', null],
    ])
      expect(readToken(token, JSON.stringify(another), key)).toBe('foreign');
    expect(readToken(token, whose, other)).toBe('foreign');
  });

  it('has nothing in it of who asks', () => {
    const [, body = ''] = token.split('.');
    expect(JSON.parse(Buffer.from(body, 'base64url').toString())).toEqual({
      r: 'all',
      t: 'rollout:sql',
      a: 'canary',
      d: fakeDigest('a'),
      at,
    });
  });

  it('of the longest names is looked at', () => {
    const long = { ...choice, rule: 'r'.repeat(63), target: `rollout:${'a'.repeat(253)}` };
    const longest = signToken({ choice: long, at }, whose, key);
    expect(longest.length).toBeLessThanOrEqual(1024);
    expect(readToken(longest, whose, key)).toEqual({ choice: long, at });
  });

  it.each(['', 'v1', 'v1.', 'v1..', '..', `v2${token.slice(2)}`, `${token}.x`, 'x'.repeat(100_000)])(
    'that nobody made is refused: %#',
    (text) => {
      expect(['malformed', 'foreign']).toContain(readToken(text, whose, key));
    },
  );

  it.each([
    '',
    'no JSON',
    'null',
    '[]',
    '{"r":"all"}',
    JSON.stringify({ r: 'all', t: 'base', at: 1, more: 1 }),
  ])('that says something else is refused, also where the key of its route signed it: %s', (said) => {
    const body = Buffer.from(said).toString('base64url');
    const mac = createHmac('sha256', Buffer.from(key, 'base64url')).update(`v1\n${whose}\n${body}`).digest();
    expect(readToken(`v1.${body}.${mac.toString('base64url')}`, whose, key)).toBe('malformed');
  });

  it('with one character changed is never taken for another', () => {
    fc.assert(
      fc.property(fc.nat({ max: token.length - 1 }), fc.integer({ min: 1, max: 127 }), (place, by) => {
        const changed = String.fromCharCode((token.charCodeAt(place) + by) % 128);
        const read = readToken(token.slice(0, place) + changed + token.slice(place + 1), whose, key);
        // The last character of base64 has bits that say nothing.
        if (typeof read === 'object') expect(read).toEqual({ choice, at });
        else expect(['malformed', 'foreign']).toContain(read);
      }),
      { numRuns: 500 },
    );
  });

  it('of any text is nothing, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3000, unit: 'binary' }), (text) => {
        expect(['malformed', 'foreign']).toContain(readToken(text, whose, key));
        expect(['malformed', 'foreign']).toContain(readToken(`v1.${text}`, whose, key));
      }),
    );
  });
});
