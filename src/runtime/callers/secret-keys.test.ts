import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { SecretKey } from '../../api/secret-keys.ts';
import { type ClientsInput, callersWith, sha256, tableOf } from './policies.fixture.ts';

const secretKey = (key: string, more: Partial<SecretKey> = {}): SecretKey => ({
  name: 'secret:app',
  sha256: sha256(key),
  user: 'app',
  rights: [],
  ...more,
});
const world = (
  policies: Readonly<Record<string, ClientsInput>>,
  keys: Readonly<Record<string, readonly SecretKey[]>>,
) => {
  const callers = callersWith(policies);
  const put = (now: typeof keys): void => {
    const resources = Object.entries(now).map(([namespace, own]) => ({
      type: 'Keys' as const,
      name: objectKey(namespace, 'secrets'),
      body: { keys: own },
    }));
    callers.state.table = tableOf(policies, ...resources);
  };
  put(keys);
  return { ...callers, put };
};
const refusal = { code: 'UNAUTHENTICATED' };

describe('a key out of a Secret', () => {
  it('asks for the names of its namespace and of no other, as who the Secret says', async () => {
    const key = secretKey('k', { user: 'u42', tenant: 'acme', rights: ['Users', 'Namespaces'] });
    const { withKey } = world({ 'adaptlet-system': { anonymous: 'Allow' } }, { 'team-a': [key] });
    const caller = await withKey('k');
    expect(caller.home).toBe('team-a');
    expect(caller.grantIn('team-a')).toEqual({
      caller: 'team-a/secret:app',
      user: 'u42',
      tenant: 'acme',
      // What a namespace gives itself ends at its border.
      rights: new Set(['Users']),
    });
    expect([caller.grantIn('team-b'), caller.grantIn('default')]).toEqual([undefined, undefined]);
  });

  it('is one of two of its caller, who stays the same', async () => {
    const keys = [secretKey('old'), secretKey('new', { name: 'secret:app:next' })];
    const { withKey, put } = world({}, { 'team-a': keys });
    const grants = await Promise.all(
      ['old', 'new'].map(async (key) => (await withKey(key)).grantIn('team-a')),
    );
    expect(grants.map((grant) => grant?.user)).toEqual(['app', 'app']);
    expect(grants.map((grant) => grant?.caller)).toEqual(['team-a/secret:app', 'team-a/secret:app:next']);
    put({ 'team-a': keys.slice(1) });
    expect((await withKey('new')).home).toBe('team-a');
    await expect(withKey('old')).rejects.toMatchObject(refusal);
  });

  it('is no good once its Secret is gone, its time is over, or in the form of its digest', async () => {
    const { withKey, put, clock } = world(
      {},
      { 'team-a': [secretKey('k', { expires: '2026-11-01T00:01:00Z' })] },
    );
    expect((await withKey('k')).home).toBe('team-a');
    await expect(withKey(sha256('k'))).rejects.toMatchObject(refusal);
    clock.advance(60_000);
    await expect(withKey('k')).rejects.toMatchObject({ ...refusal, what: 'the key has expired' });
    put({ 'team-a': [secretKey('other')] });
    await expect(withKey('k')).rejects.toMatchObject(refusal);
  });

  it('brings nobody into another namespace: a key of a policy stays what it is', async () => {
    const policies = { 'team-b': { apiKeys: [{ name: 'app', sha256: sha256('k') }] } };
    const { withKey } = world(policies, { 'team-a': [secretKey('k')] });
    const caller = await withKey('k');
    expect([caller.home, caller.grantIn('team-a')]).toEqual(['team-b', undefined]);
  });
});
