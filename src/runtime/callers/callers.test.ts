import { describe, expect, it, vi } from 'vitest';
import { grantOf } from './caller.ts';
import { callersWith, sha256, tableOf } from './policies.fixture.ts';

const key = (name: string, more: object = {}) => ({ name, sha256: sha256(`adk_${name}`), ...more });
const refusal = { code: 'UNAUTHENTICATED' };

describe('keys', () => {
  it('a key asks for the names of its namespace and of no other, as itself', async () => {
    const { withKey } = callersWith({ 'team-a': { apiKeys: [key('app', { tenant: 'acme' })] } });
    const caller = await withKey('adk_app');
    expect(caller.home).toBe('team-a');
    expect(caller.grantIn('team-a')).toEqual({
      caller: 'team-a/app',
      user: 'app',
      tenant: 'acme',
      rights: new Set(),
    });
    expect(caller.grantIn('team-b')).toBeUndefined();
    expect(() => grantOf(caller, 'team-b')).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', httpStatus: 403, grpcStatus: 'PERMISSION_DENIED' }),
    );
  });

  it.each([
    ['x-api-key', { 'x-api-key': 'adk_app' }],
    ['a scheme in other letters', { authorization: 'bearer  adk_app' }],
    ['both, and the same', { authorization: 'Bearer adk_app', 'x-api-key': 'adk_app' }],
  ])('it may come as %s', async (_, headers) => {
    const { ask } = callersWith({ 'team-a': { apiKeys: [key('app')] } });
    expect((await ask(headers)).home).toBe('team-a');
  });

  it.each([
    ['a wrong key', { authorization: 'Bearer adk_other' }, /no JWT|not known/i],
    ['the digest in place of the key', { 'x-api-key': sha256('adk_app') }, /not known/],
    ['another scheme', { authorization: 'Basic YTpi' }, /not one "Bearer KEY"/],
    ['two keys in one header', { authorization: 'Bearer adk_app, Bearer adk_x' }, /not one/],
    [
      'two different keys',
      { authorization: 'Bearer adk_app', 'x-api-key': 'adk_x' },
      /different credentials/,
    ],
  ])('%s is refused, also where none is needed', async (_, headers, message) => {
    const policies = { 'team-a': { apiKeys: [key('app')], anonymous: 'Allow' as const } };
    const { ask } = callersWith(policies, { isLoopback: true, anonymous: 'allow' });
    const error = await ask(headers).catch((e: unknown) => e);
    expect(error).toMatchObject({ ...refusal, httpStatus: 401, message: expect.stringMatching(message) });
  });

  it('a key ends at its time, and the clock decides', async () => {
    const { withKey, clock } = callersWith({
      'team-a': { apiKeys: [key('app', { expires: '2026-11-01T00:01:00Z' })] },
    });
    expect((await withKey('adk_app')).home).toBe('team-a');
    clock.advance(60_000);
    await expect(withKey('adk_app')).rejects.toMatchObject({ ...refusal, what: 'the key has expired' });
  });

  it('a key is taken from its networks alone, by the address of the connection', async () => {
    const { withKey, ask } = callersWith({
      'team-a': { apiKeys: [key('app', { from: ['10.0.0.0/8', '2001:db8::/32'] })] },
    });
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::7']) {
      expect((await withKey('adk_app', { address })).home).toBe('team-a');
    }
    for (const address of ['11.0.0.1', '::1', '2001:db9::7', undefined]) {
      await expect(withKey('adk_app', { address })).rejects.toMatchObject(refusal);
    }
    const claimed = { authorization: 'Bearer adk_app', 'x-forwarded-for': '10.1.2.3' };
    await expect(ask(claimed, { address: '11.0.0.1' })).rejects.toMatchObject(refusal);
  });

  it('a key whose networks cannot be read lets nobody in, and the log says so', async () => {
    const warn = vi.fn();
    const log = { debug: vi.fn(), info: vi.fn(), warn, error: vi.fn() };
    const policies = { 'team-a': { apiKeys: [key('app', { from: ['10.0.0.0/99'] }), key('web')] } };
    const { withKey } = callersWith(policies, { log });
    await expect(withKey('adk_app', { address: '10.0.0.1' })).rejects.toMatchObject(refusal);
    expect((await withKey('adk_web')).home).toBe('team-a');
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('one key in two policies asks for the names of both', async () => {
    const { withKey } = callersWith({
      'team-b': { apiKeys: [key('app', { rights: ['Priority'] })] },
      'team-a': { apiKeys: [key('app')] },
    });
    const caller = await withKey('adk_app');
    expect(caller.home).toBe('team-a');
    expect(caller.grantIn('team-a')?.rights).toEqual(new Set());
    expect(caller.grantIn('team-b')?.rights).toEqual(new Set(['Priority']));
    expect(caller.grantIn('team-c')).toBeUndefined();
  });

  it('a change of the policies is in force with the next request', async () => {
    const { withKey, state } = callersWith({ 'team-a': { apiKeys: [key('app')] } });
    await withKey('adk_app');
    state.table = tableOf({ 'team-a': { apiKeys: [key('other')] } });
    await expect(withKey('adk_app')).rejects.toMatchObject(refusal);
    expect((await withKey('adk_other')).home).toBe('team-a');
  });

  it('ten thousand wrong keys are refused within seconds', async () => {
    const { withKey } = callersWith({ 'team-a': { apiKeys: [key('app')] } });
    const start = performance.now();
    for (let i = 0; i < 10_000; i++) {
      await expect(withKey(`adk_${i}`)).rejects.toMatchObject(refusal);
    }
    expect(performance.now() - start).toBeLessThan(20_000);
    expect((await withKey('adk_app')).home).toBe('team-a');
  });
});

describe('the default policy', () => {
  const policies = {
    'adaptlet-system': { apiKeys: [key('gateway', { rights: ['Namespaces', 'Users'] }), key('plain')] },
  };

  it('binds its callers to no namespace: those with the right Namespaces ask for all, the others for that of the node', async () => {
    const { withKey } = callersWith(policies);
    const gateway = await withKey('adk_gateway');
    expect(gateway.home).toBe('default');
    expect(gateway.grantIn('team-a')?.caller).toBe('adaptlet-system/gateway');
    const plain = await withKey('adk_plain');
    expect(plain.home).toBe('default');
    expect(plain.grantIn('default')).toBeDefined();
    expect(plain.grantIn('team-a')).toBeUndefined();
  });

  it('no other policy gives the right Namespaces', async () => {
    const { withKey } = callersWith({ 'team-a': { apiKeys: [key('app', { rights: ['Namespaces'] })] } });
    const caller = await withKey('adk_app');
    expect(caller.grantIn('team-b')).toBeUndefined();
    expect(caller.grantIn('team-a')?.rights).toEqual(new Set());
  });
});

describe('certificates', () => {
  const policies = {
    'team-a': { certificates: [{ name: 'gw', commonName: 'gateway.team-a' }], anonymous: 'Allow' as const },
  };

  it('a client is known by the common name of its certificate', async () => {
    const { ask } = callersWith(policies);
    const caller = await ask({}, { commonName: 'gateway.team-a' });
    expect(caller.grantIn('team-a')).toMatchObject({ caller: 'team-a/gw', user: 'gw' });
  });

  it('another common name is a wrong credential', async () => {
    const { ask } = callersWith(policies);
    await expect(ask({}, { commonName: 'gateway.team-b' })).rejects.toMatchObject(refusal);
  });

  it('a key decides where there are both', async () => {
    const { ask } = callersWith({ ...policies, 'team-b': { apiKeys: [key('app')] } });
    const both = await ask({ authorization: 'Bearer adk_app' }, { commonName: 'gateway.team-a' });
    expect(both.home).toBe('team-b');
    expect(both.grantIn('team-a')).toBeUndefined();
  });
});

describe('without a credential', () => {
  it.each([
    ['auto', true, true],
    ['auto', false, false],
    ['allow', false, true],
    ['deny', true, false],
  ] as const)(
    'no policy, --anonymous %s, loopback %s: allowed %s',
    async (anonymous, isLoopback, allowed) => {
      const { ask } = callersWith({}, { anonymous, isLoopback });
      const caller = await ask();
      expect(caller.home).toBe('default');
      expect(caller.grantIn('default') !== undefined).toBe(allowed);
      expect(caller.grantIn('team-a') !== undefined).toBe(allowed);
      expect(caller.refusalIn('default')).toMatchObject(refusal);
    },
  );

  it('loading and unloading by hand is for callers on the machine', async () => {
    const rightsOn = async (isLoopback: boolean) =>
      (await callersWith({}, { anonymous: 'allow', isLoopback }).ask()).grantIn('default')?.rights;
    expect((await rightsOn(true))?.has('Lifecycle')).toBe(true);
    expect((await rightsOn(false))?.has('Lifecycle')).toBe(false);
  });

  it('the policy of a namespace decides over the setting', async () => {
    const policies = { 'team-a': { anonymous: 'Allow' as const }, 'team-b': {} };
    const { ask } = callersWith(policies, { anonymous: 'allow' });
    const caller = await ask();
    expect(caller.grantIn('team-a')?.rights).toEqual(new Set(['Users']));
    expect(caller.grantIn('team-b')).toBeUndefined();
    // No policy holds for it.
    expect(caller.grantIn('team-c')).toBeDefined();
  });

  it('the default policy decides for namespaces without one', async () => {
    const { ask } = callersWith({ 'adaptlet-system': {} }, { anonymous: 'allow', isLoopback: true });
    expect((await ask()).grantIn('team-c')).toBeUndefined();
  });

  it('where no policy has a credential, one that is sent says nothing: clients of OpenAI always send one', async () => {
    const { withKey } = callersWith({}, { isLoopback: true });
    expect((await withKey('none')).grantIn('default')).toBeDefined();
    const { withKey: elsewhere } = callersWith({}, { isLoopback: false });
    expect((await elsewhere('none')).grantIn('default')).toBeUndefined();
  });
});
