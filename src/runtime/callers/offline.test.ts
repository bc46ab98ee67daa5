import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { BoundedClock } from '../../time/bounded-clock.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { callersWith, sha256 } from './policies.fixture.ts';

const hour = 3_600_000;
const day = 24 * hour;
const iss = 'https://issuer.example';
const start = Date.parse('2026-11-01T00:00:00Z');

const keyOf = async (kid: string) => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' } };
};
type Key = Awaited<ReturnType<typeof keyOf>>;
const [former, next] = [await keyOf('former'), await keyOf('next')];

const tokenOf = ({ kid, privateKey }: Key, from: number, lifeMs = hour) =>
  new SignJWT({ iss, aud: 'adaptlet', sub: 'anna' })
    .setProtectedHeader({ alg: 'ES256', kid })
    .setIssuedAt(from / 1000)
    .setNotBefore(from / 1000)
    .setExpirationTime((from + lifeMs) / 1000)
    .sign(privateKey);

/** A node with the policy of before the outage: the keys that the issuer had then. */
const node = (machine = new FakeClock(start), known = { atLeast: 0, last: 0 }) => {
  const clock = new BoundedClock(machine, known);
  const issuer = {
    name: 'idp',
    issuer: iss,
    audiences: ['adaptlet'],
    jwks: JSON.stringify({ keys: [former.jwk] }),
  };
  const expires = new Date(start + 10 * day).toISOString();
  const apiKeys = [
    { name: 'for-ever', sha256: sha256('for-ever') },
    { name: 'ten-days', sha256: sha256('ten-days'), expires },
  ];
  const parts = { clock, isClockBehind: () => clock.isBehind };
  const { withKey } = callersWith({ 'team-a': { issuers: [issuer], apiKeys } }, parts);
  const isLetIn = async (credential: string) =>
    (await withKey(credential).catch(() => undefined))?.grantIn('team-a') !== undefined;
  return { machine, clock, isLetIn };
};

describe.each([
  ['1 hour', hour],
  ['1 day', day],
  ['30 days', 30 * day],
])('callers of a node without its operator for %s', (_, ms) => {
  it('are let in by fresh tokens of the keys that the policy had, as long as each says', async () => {
    const { machine, isLetIn } = node();
    const before = await tokenOf(former, start, 30_000);
    expect(await isLetIn(before)).toBe(true);
    machine.advance(ms);
    expect(await isLetIn(before)).toBe(false);
    expect(await isLetIn(await tokenOf(former, machine.now()))).toBe(true);
  });

  it('are not let in by keys that their issuer took meanwhile: the policy has to come first', async () => {
    const { machine, isLetIn } = node();
    machine.advance(ms);
    expect(await isLetIn(await tokenOf(next, machine.now()))).toBe(false);
  });

  it('are let in by API keys until those end', async () => {
    const { machine, isLetIn } = node();
    machine.advance(ms);
    expect(await isLetIn('for-ever')).toBe(true);
    expect(await isLetIn('ten-days')).toBe(ms < 10 * day);
  });
});

describe('callers of a node that starts in 1970, after 20 days without its operator', () => {
  const later = start + 20 * day;
  const restarted = () => node(new FakeClock(0), { atLeast: start - day, last: later });

  it('are let in by tokens of today, although they begin after all that the node knows', async () => {
    const { isLetIn } = restarted();
    expect(await isLetIn(await tokenOf(former, later + 5 * day))).toBe(true);
    expect(await isLetIn('for-ever')).toBe(true);
  });

  it('are not let in by what was over when the node last knew the time', async () => {
    const { isLetIn } = restarted();
    expect(await isLetIn(await tokenOf(former, later - 2 * hour))).toBe(false);
    expect(await isLetIn('ten-days')).toBe(false);
  });

  it('are not let in by tokens that begin at no time at all', async () => {
    const { isLetIn } = restarted();
    for (const claim of ['soon', 1e300]) {
      const odd = new SignJWT({
        iss,
        aud: 'adaptlet',
        sub: 'anna',
        iat: claim as number,
        exp: later / 1000 - 3600,
      });
      expect(
        await isLetIn(
          await odd.setProtectedHeader({ alg: 'ES256', kid: former.kid }).sign(former.privateKey),
        ),
      ).toBe(false);
    }
  });

  it('do not move the clock of others by their tokens', async () => {
    const { clock, isLetIn } = restarted();
    expect(await isLetIn(await tokenOf(former, later + 900 * day))).toBe(true);
    expect(clock.now()).toBe(later);
  });

  it('are judged by the clock again once it is set', async () => {
    const { machine, isLetIn } = restarted();
    machine.set(later + day);
    expect(await isLetIn(await tokenOf(former, later + 5 * day))).toBe(false);
    expect(await isLetIn(await tokenOf(former, later + day))).toBe(true);
  });
});
