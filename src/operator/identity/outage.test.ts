import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { checkCertificate } from '../../runtime/sync/trust.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import type { Span } from '../../time/bounded-clock.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { day } from './authority.fixture.ts';
import { Authority, type Credentials } from './authority.ts';

const opened: Authority[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});
const open = async (api: FakeApi, clock: FakeClock): Promise<Authority> => {
  const authority = await Authority.open(
    {
      api,
      namespace: 'adaptlet-system',
      replica: 'operator-0',
      names: ['localhost'],
      clock,
      logger: silentLog,
      random: () => 0.5,
    },
    new AbortController().signal,
  );
  opened.push(authority);
  return authority;
};

/** As a node does that has this bundle. */
const isBelieved = (
  { certificate }: Pick<Credentials, 'certificate'>,
  bundle: string,
  at: number,
  host = 'localhost',
): boolean => {
  const isBetween = ({ from, until }: Span): boolean => from <= at && at < until;
  const time = {
    isBehind: true,
    least: at,
    agrees: isBetween,
    raise: () => undefined,
    settle: () => undefined,
  };
  const shown = new X509Certificate(certificate);
  try {
    checkCertificate(shown, { bundle: Buffer.from(bundle), host, time });
    return Date.parse(shown.validFrom) <= at;
  } catch {
    return false;
  }
};

describe('a node that was away, over a year and more of an operator that rotates as by default', () => {
  /** What the operator shows, once a day. */
  const shown: { readonly at: number; readonly credentials: Credentials; readonly served: string }[] = [];
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  beforeAll(async () => {
    const clock = new FakeClock(Date.now());
    const authority = await open(new FakeApi(), clock);
    for (let passed = 0; passed < 450; passed++) {
      const { certificate: served } = authority.certifyServing({ publicKey, names: ['llm.example'] });
      shown.push({ at: clock.now(), credentials: authority.credentials(), served });
      clock.advance(day);
      await authority.refresh();
      await authority.refresh();
    }
  });
  /** Share of the days on which a node that has been away for so long needs the bundle anew. */
  const shareInNeed = (days: number): number => {
    const pairs = shown.slice(days).map(({ at, credentials }, index) => {
      const left = shown[index]?.credentials.bundle ?? '';
      expect(isBelieved(credentials, credentials.bundle, at)).toBe(true);
      return isBelieved(credentials, left, at) ? 0 : 1;
    });
    return pairs.reduce((sum: number, one) => sum + one, 0) / pairs.length;
  };

  it.each([0, 1, 30, 60])('for %i days believes the operator by the bundle that it has', (days) => {
    expect(shareInNeed(days)).toBe(0);
  });

  it('shows clients a certificate of its request ports that they believe for 30 days, by a bundle of 60 days ago or of now', () => {
    const signers = new Set<string>();
    for (const [issued, { at, served }] of shown.entries()) {
      const { validTo, issuer } = new X509Certificate(served);
      signers.add(issuer);
      expect(Date.parse(validTo) - at).toBeGreaterThan(30 * day - 1_000);
      for (const used of [issued, issued + 1, issued + 15, issued + 29]) {
        for (const had of [Math.max(0, issued - 60), used]) {
          const [then, bundle] = [shown[used], shown[had]?.credentials.bundle ?? ''];
          if (then === undefined) continue;
          const words = `of day ${issued} on day ${used} by the bundle of day ${had}`;
          expect(isBelieved({ certificate: served }, bundle, then.at, 'llm.example'), words).toBe(true);
          expect(isBelieved({ certificate: served }, bundle, then.at, 'other.example')).toBe(false);
        }
      }
    }
    expect(signers.size).toBe(2);
  });

  it('for 90 days needs the new bundle where a rotation began and ended meanwhile, and else none', () => {
    // The one of these days concerns those that left in the 30 days before it began.
    expect(Math.round(shareInNeed(90) * 360)).toBe(30);
  });
});

it('an operator that was away for longer than its authority lasts begins anew by itself', async () => {
  const [api, clock] = [new FakeApi(), new FakeClock(Date.now())];
  const before = (await open(api, clock)).credentials();
  for (const one of opened.splice(0)) one.close();
  clock.advance(400 * day);
  const { bundle, ...own } = (await open(api, clock)).credentials();
  expect(isBelieved(own, bundle, clock.now())).toBe(true);
  expect(isBelieved(own, before.bundle, clock.now())).toBe(false);
});

describe('request ports', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = ['llm.example'];

  it('get certificates that clients take now by an operator whose clock is two days ahead', async () => {
    const [api, now] = [new FakeApi(), Date.now()];
    const { bundle } = (await open(api, new FakeClock(now))).credentials();
    const { certificate, lifetimeMs } = (await open(api, new FakeClock(now + 2 * day))).certifyServing({
      publicKey,
      names,
    });
    expect(isBelieved({ certificate }, bundle, now, 'llm.example')).toBe(true);
    expect(30 * day - lifetimeMs).toBeLessThan(1_000);
  });

  it('get none of an authority that is over, which no client takes', async () => {
    const [api, clock] = [new FakeApi(), new FakeClock(Date.now())];
    const authority = await open(api, clock);
    api.before = () => {
      throw new AdaptletError('KUBE_UNAVAILABLE', 'the API server is away');
    };
    clock.advance(365 * day);
    expect(() => authority.certifyServing({ publicKey, names })).toThrow(
      expect.objectContaining({ code: 'CERTIFICATE_REFUSED', what: 'the authority of the operator is over' }),
    );
  });
});
