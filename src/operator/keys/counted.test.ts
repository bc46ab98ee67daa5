import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Right } from '../../api/policy.ts';
import { maxKeySecrets } from '../../api/secret-keys.ts';
import { countedKeys } from './counted.ts';
import { aKey, aSecret, sha256 } from './secret.fixture.ts';
import { readKeySecret } from './secret.ts';

const secret = (...of: Parameters<typeof aSecret>) => readKeySecret(aSecret(...of));
const count = (
  all: readonly ReturnType<typeof secret>[],
  { ofPolicies = [], rights = [] }: { ofPolicies?: readonly string[]; rights?: readonly Right[] } = {},
) => {
  const secrets = Map.groupBy(all, ({ metadata }) => metadata.namespace ?? '');
  const { keys, problems } = countedKeys({
    secrets,
    ofPolicies: new Set(ofPolicies.map(sha256)),
    rightsOf: () => rights,
  });
  const names = [...keys].flatMap(([namespace, own]) => own.map(({ name }) => `${namespace} ${name}`));
  return { keys, names, problems: Object.fromEntries(problems) };
};
const inB = { namespace: 'team-b' };

describe('the keys that count', () => {
  it('are those of every Secret that can be used; another one harms none', () => {
    const all = [
      secret('a', { key: aKey('a') }),
      secret('bad', { key: 'short' }),
      secret('b', { key: aKey('b'), 'next-key': aKey('c') }, inB),
    ];
    expect(count(all)).toMatchObject({
      names: ['team-a secret:a', 'team-b secret:b', 'team-b secret:b:next'],
      problems: { 'team-a/bad': expect.stringContaining('32 to 512') },
    });
  });

  it('have no more rights than the policy leaves them, which is told', () => {
    const annotations = { 'adaptlet.io/rights': 'Users,Priority,Namespaces' };
    const all = [secret('a', { key: aKey('a') }, { annotations })];
    const { keys, problems } = count(all, { rights: ['Users', 'Lifecycle'] });
    expect(keys.get('team-a')).toMatchObject([{ rights: ['Users'] }]);
    expect(problems['team-a/a']).toMatch(/^without Priority, Namespaces: /);
  });

  it("are nobody else's: not of a policy, and not of another Secret, by the key or by its digest", () => {
    const own = secret('app', { key: aKey('a'), 'next-key': aKey('n') });
    const thief = secret('x', { sha256: sha256(aKey('a')), 'next-key': aKey('own') }, inB);
    expect(count([own, thief])).toMatchObject({
      names: ['team-a secret:app:next', 'team-b secret:x:next'],
      problems: {
        'team-a/app': expect.stringContaining('counts in neither'),
        'team-b/x': expect.stringContaining('counts in neither'),
      },
    });
    const { names, problems } = count([thief], { ofPolicies: [aKey('a')] });
    expect(names).toEqual(['team-b secret:x:next']);
    expect(problems['team-b/x']).toContain('it counts there alone');
  });

  it('are of the oldest Secrets, however they come', () => {
    const all = Array.from({ length: maxKeySecrets + 1 }, (_, i) =>
      secret(`s${i}`, { key: aKey(`k${i}`) }, { at: -i }),
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        const { names, problems } = count(shuffled);
        expect(names).toHaveLength(maxKeySecrets);
        expect(Object.keys(problems)).toEqual(['team-a/s0']);
      }),
      { numRuns: 10 },
    );
  });

  it('of a namespace without Secrets are none, which is something else than not known', () => {
    const { keys } = countedKeys({
      secrets: new Map([['team-a', []]]),
      ofPolicies: new Set(),
      rightsOf: () => [],
    });
    expect([...keys]).toEqual([['team-a', []]]);
  });
});
