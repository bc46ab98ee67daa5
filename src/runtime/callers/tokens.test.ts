import { createPublicKey } from 'node:crypto';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ClientsInput, callersWith } from './policies.fixture.ts';
import { maxRemembered } from './tokens.ts';

const issuer = 'https://keycloak.example/realms/team-a';
const now = Date.parse('2026-11-01T00:00:00Z') / 1000;

type Pair = Awaited<ReturnType<typeof generateKeyPair>> & { readonly jwk: JWK };
const pairOf = async (alg: string, kid?: string): Promise<Pair> => {
  const pair = await generateKeyPair(alg, { extractable: true });
  return {
    ...pair,
    jwk: { ...(await exportJWK(pair.publicKey)), alg, ...(kid === undefined ? {} : { kid }) },
  };
};

let rsa: Pair;
let ec: Pair;
let second: Pair;
beforeAll(async () => {
  rsa = await pairOf('RS256', 'rsa');
  ec = await pairOf('ES256');
  second = await pairOf('ES256');
});

const issuerOf = (change: object = {}) => ({
  name: 'keycloak',
  issuer,
  audiences: ['adaptlet'],
  jwks: JSON.stringify({ keys: [rsa.jwk, ec.jwk] }),
  ...change,
});
const trusting = (...issuers: NonNullable<ClientsInput['issuers']>) =>
  callersWith({ 'team-a': { issuers, anonymous: 'Allow' } }, { isLoopback: true, anonymous: 'allow' });

type Claims = Readonly<Record<string, unknown>>;
const good: Claims = { iss: issuer, aud: 'adaptlet', sub: 'anna', exp: now + 300 };
const sign = (claims: Claims, { privateKey }: Pair = rsa, header: object = { alg: 'RS256', kid: 'rsa' }) =>
  new SignJWT({ ...good, ...claims }).setProtectedHeader(header as { alg: string }).sign(privateKey);
const asEc = { alg: 'ES256' };

describe('tokens', () => {
  it('a token of a trusted issuer stands for its subject', async () => {
    const { withKey } = trusting(issuerOf({ rights: ['Priority'], tenant: 'acme' }));
    for (const token of [await sign({}), await sign({ aud: ['x', 'adaptlet'] }, ec, asEc)]) {
      expect((await withKey(token)).grantIn('team-a')).toEqual({
        caller: 'team-a/keycloak',
        user: 'anna',
        tenant: 'acme',
        rights: new Set(['Priority']),
      });
    }
  });

  it('claims may say who the user and the tenant are', async () => {
    const { withKey } = trusting(issuerOf({ userClaim: 'email', tenantClaim: 'org', tenant: 'all' }));
    const caller = await withKey(await sign({ email: 'anna@example', org: 'acme' }));
    expect(caller.grantIn('team-a')).toMatchObject({ user: 'anna@example', tenant: 'acme' });
    for (const claims of [{ email: 'a' }, { org: 'b' }, { email: 7, org: 'b' }, { email: 'a', org: '\n' }]) {
      await expect(withKey(await sign(claims))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
  });

  it('a name of an inherited property is no claim', async () => {
    const { withKey } = trusting(issuerOf({ userClaim: 'toString' }));
    await expect(withKey(await sign({}))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it.each([
    ['another issuer', { iss: 'https://evil.example' }, /no policy takes tokens of the issuer/],
    ['no issuer', { iss: undefined }, /no policy takes tokens of the issuer/],
    ['another audience', { aud: 'other' }, /no audience here/],
    ['no audience', { aud: undefined }, /no audience here/],
    ['another subject', { sub: 'eve' }, /no policy takes tokens of the subject/],
    ['no subject', { sub: undefined }, /no policy takes tokens of the subject/],
    ['one that is over', { exp: now - 61 }, /exp/],
    ['one that never ends', { exp: undefined }, /exp/],
    ['one that is not yet to be used', { nbf: now + 61 }, /nbf/],
  ])('%s is refused, also where none is needed', async (_, claims, message) => {
    const { withKey } = trusting(issuerOf({ subjects: ['anna'] }));
    await expect(withKey(await sign(claims))).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringMatching(message),
    });
  });

  it('clocks may differ by a minute', async () => {
    const { withKey } = trusting(issuerOf());
    expect(await withKey(await sign({ exp: now - 59, nbf: now + 59 }))).toBeDefined();
  });

  it('what another key signed, or was changed, is refused', async () => {
    const { withKey } = trusting(issuerOf());
    const stranger = await pairOf('RS256', 'rsa');
    const token = await sign({});
    const [head = '', body = '', signature = ''] = token.split('.');
    const changed = Buffer.from(JSON.stringify({ ...good, sub: 'root' })).toString('base64url');
    for (const bad of [
      await sign({}, stranger),
      `${head}.${changed}.${signature}`,
      `${head}.${body}.${signature.slice(0, -8)}AAAAAAAA`,
      `${head}.${body}.`,
    ]) {
      await expect(withKey(bad)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
  });

  it('no signature, and one by the public key as a shared secret, are refused', async () => {
    const { withKey } = trusting(issuerOf());
    const none = new UnsecuredJWT(good).encode();
    await expect(withKey(none)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    const pem = await exportSPKI(rsa.publicKey);
    const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    for (const secret of [Buffer.from(pem), der, Buffer.from(JSON.stringify(rsa.jwk))]) {
      for (const header of [{ alg: 'HS256' }, { alg: 'HS256', kid: 'rsa' }]) {
        const forged = await new SignJWT(good).setProtectedHeader(header).sign(secret);
        await expect(withKey(forged)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      }
    }
  });

  it('a shared secret in the key set of a policy is not used', async () => {
    const secret = Buffer.alloc(32, 7);
    const jwks = JSON.stringify({ keys: [{ kty: 'oct', k: secret.toString('base64url'), alg: 'HS256' }] });
    const { withKey } = trusting(issuerOf({ jwks }));
    const token = await new SignJWT(good).setProtectedHeader({ alg: 'HS256' }).sign(secret);
    await expect(withKey(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('a token that does not name its key is tried with each of its kind', async () => {
    const { withKey } = trusting(issuerOf({ jwks: JSON.stringify({ keys: [ec.jwk, second.jwk] }) }));
    expect(await withKey(await sign({}, second, asEc))).toBeDefined();
    await expect(withKey(await sign({}, await pairOf('ES256'), asEc))).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
  });

  it('a key set that cannot be read lets nobody in, and harms no other', async () => {
    const other = { ...issuerOf(), name: 'other', issuer: 'https://other.example' };
    const { withKey } = trusting(issuerOf({ jwks: 'none' }), other);
    await expect(withKey(await sign({}))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await withKey(await sign({ iss: 'https://other.example' }))).toBeDefined();
  });

  it('one issuer for all namespaces, as that of ServiceAccounts: subjects tell which', async () => {
    const of = (namespace: string) => issuerOf({ subjects: [`system:serviceaccount:${namespace}:app`] });
    const { withKey } = callersWith({
      'team-a': { issuers: [of('team-a')] },
      'team-b': { issuers: [of('team-b')] },
    });
    const caller = await withKey(await sign({ sub: 'system:serviceaccount:team-b:app' }));
    expect(caller.home).toBe('team-b');
    expect(caller.grantIn('team-a')).toBeUndefined();
  });

  it('a policy that trusts another key under the same issuer does not take the token', async () => {
    const jwks = JSON.stringify({ keys: [second.jwk] });
    const { withKey } = callersWith({
      'team-a': { issuers: [issuerOf({ jwks })] },
      'team-b': { issuers: [issuerOf()] },
    });
    const caller = await withKey(await sign({}));
    expect(caller.grantIn('team-b')).toBeDefined();
    expect(caller.grantIn('team-a')).toBeUndefined();
  });

  it.each<[string, unknown]>([
    ['an object that has no text', [{ toString: null, valueOf: null }]],
    ['lists in lists', JSON.parse(`${'['.repeat(2000)}1${']'.repeat(2000)}`)],
  ])('an audience that is %s is one of nobody', async (_, aud) => {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = `${part({ alg: 'ES256' })}.${part({ ...good, aud })}.${part('x')}`;
    await expect(trusting(issuerOf()).withKey(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('a token that was verified ends at its time, and with its policy', async () => {
    const { withKey, clock, state } = trusting(issuerOf());
    const token = await sign({ exp: now + 60 });
    await withKey(token);
    clock.advance(119_000);
    await withKey(token);
    clock.advance(2_000);
    await expect(withKey(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    const fresh = await sign({ exp: now + 3600 });
    await withKey(fresh);
    const { state: emptied } = trusting(issuerOf({ audiences: ['other'] }));
    state.table = emptied.table;
    await expect(withKey(fresh)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('more tokens than are remembered are all taken', async () => {
    const { withKey } = trusting(issuerOf());
    const first = await sign({ jti: 'first' }, ec, asEc);
    await withKey(first);
    for (let i = 0; i <= maxRemembered; i++) await withKey(await sign({ jti: String(i) }, ec, asEc));
    expect(await withKey(first)).toBeDefined();
  });
});
