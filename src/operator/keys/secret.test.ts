import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { secretKeysSchema } from '../../api/secret-keys.ts';
import { newKey, secretOf } from '../../cli/key.ts';
import { aKey, aSecret, sha256 } from './secret.fixture.ts';
import { readKeySecret } from './secret.ts';

const keysOf = (...secret: Parameters<typeof aSecret>) => {
  const read = readKeySecret(aSecret(...secret));
  return 'keys' in read ? read.keys : read.problem;
};

describe('a Secret with keys', () => {
  it('has a key, and the one that follows it, as themselves or as digests', () => {
    expect(keysOf('app', { key: `${aKey('a')}\n`, 'next-sha256': sha256(aKey('b')) })).toEqual([
      { name: 'secret:app', sha256: sha256(aKey('a')), user: 'app', rights: [] },
      { name: 'secret:app:next', sha256: sha256(aKey('b')), user: 'app', rights: [] },
    ]);
    expect(keysOf('app', { 'next-key': aKey('b') })).toMatchObject([{ name: 'secret:app:next' }]);
  });

  it('says by annotations who its callers are, what they may do and how long', () => {
    const annotations = {
      'adaptlet.io/user': 'u42',
      'adaptlet.io/tenant': 'acme',
      'adaptlet.io/rights': 'Users, Priority,Users',
      'adaptlet.io/expires': '2027-01-31T00:00:00Z',
    };
    expect(keysOf('app', { key: aKey('a') }, { annotations })).toEqual([
      {
        name: 'secret:app',
        sha256: sha256(aKey('a')),
        user: 'u42',
        tenant: 'acme',
        rights: ['Users', 'Priority'],
        expires: '2027-01-31T00:00:00Z',
      },
    ]);
  });

  it('is what adaptlet key --secret prints, of which the key is no part', () => {
    const made = newKey('app');
    const text = secretOf('app', 'team-a', made);
    expect(text).not.toContain(made.key);
    const { metadata, stringData } = parse(text);
    expect(metadata).toEqual({
      name: 'app',
      namespace: 'team-a',
      labels: { 'adaptlet.io/api-keys': 'true' },
    });
    expect(keysOf('app', stringData)).toMatchObject([{ sha256: sha256(made.key) }]);
  });

  it.each<[string, Parameters<typeof aSecret>, RegExp]>([
    ['nothing', ['app', {}], /no key: it may have key, sha256, next-key, next-sha256/],
    ['something else', ['app', { key: aKey('a'), token: 'tok-3v3ryb0dy' }], /the data has token/],
    [
      'a key and a digest in one place',
      ['app', { key: aKey('a'), sha256: sha256('b') }],
      /both key and sha256/,
    ],
    ['the same key twice', ['app', { key: aKey('a'), 'next-key': aKey('a') }], /both keys are the same/],
    ['a short key', ['app', { key: 'secret' }], /32 to 512/],
    ['a key of two lines', ['app', { key: `${aKey('a')}\n${aKey('b')}` }], /visible ASCII/],
    ['a key that no header can have', ['app', { key: `${aKey('a')},x` }], /without a comma/],
    ['a digest that is none', ['app', { sha256: aKey('a') }], /64 lower-case hexadecimal digits/],
    [
      'a right that there is not',
      ['app', { key: aKey('a') }, { annotations: { 'adaptlet.io/rights': 'All' } }],
      /has All: there are Users/,
    ],
    [
      'a time that is none',
      ['app', { key: aKey('a') }, { annotations: { 'adaptlet.io/expires': '2027-13-31T00:00:00Z' } }],
      /must be a time in UTC/,
    ],
    [
      'a user of two lines',
      ['app', { key: aKey('a') }, { annotations: { 'adaptlet.io/user': 'a\nb' } }],
      /user/,
    ],
  ])('with %s is not taken, and the reason has no value of it', (_, secret, why) => {
    const read = readKeySecret(aSecret(...secret));
    expect(read).toMatchObject({ key: 'team-a/app', problem: expect.stringMatching(why) });
    for (const value of Object.values(secret[1])) expect(inspect(read)).not.toContain(value.slice(0, 40));
  });

  it('leaves no key behind, also not the copy that kubectl keeps in an annotation', () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': `{"key": "${aKey('a')}"}` };
    const read = readKeySecret(aSecret('app', { key: aKey('a') }, { annotations }));
    expect(JSON.stringify(read)).not.toContain(aKey('a'));
    expect(JSON.stringify(read)).not.toContain(Buffer.from(aKey('a')).toString('base64'));
  });

  it('is read whatever it has, to what runtimes take or to a reason', () => {
    const entry = fc.oneof(fc.constantFrom('key', 'next-key', 'sha256', 'next-sha256'), fc.string());
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 600 }),
      fc.stringMatching(/^[0-9a-f]{64}$/),
    );
    const annotation = fc.oneof(
      fc.constantFrom('adaptlet.io/user', 'adaptlet.io/tenant', 'adaptlet.io/rights', 'adaptlet.io/expires'),
      fc.string(),
    );
    fc.assert(
      fc.property(
        fc.dictionary(entry, value, { maxKeys: 4 }),
        fc.dictionary(annotation, fc.string({ unit: 'binary', maxLength: 400 }), { maxKeys: 4 }),
        (data, annotations) => {
          const read = readKeySecret(aSecret('app', data, { annotations }));
          if ('keys' in read) expect(secretKeysSchema.parse({ keys: read.keys }).keys).toEqual(read.keys);
          else expect(read.problem).not.toBe('');
        },
      ),
    );
  });
});
