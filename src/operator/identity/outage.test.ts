import { X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
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
const isBelieved = ({ certificate }: Credentials, bundle: string, at: number): boolean => {
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
    checkCertificate(shown, { bundle: Buffer.from(bundle), host: 'localhost', time });
    return Date.parse(shown.validFrom) <= at;
  } catch {
    return false;
  }
};

describe('a node that was away, over a year and more of an operator that rotates as by default', () => {
  /** What the operator shows, once a day. */
  const shown: { readonly at: number; readonly credentials: Credentials }[] = [];
  beforeAll(async () => {
    const clock = new FakeClock(Date.now());
    const authority = await open(new FakeApi(), clock);
    for (let passed = 0; passed < 450; passed++) {
      shown.push({ at: clock.now(), credentials: authority.credentials() });
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
  expect(isBelieved({ ...own, bundle }, bundle, clock.now())).toBe(true);
  expect(isBelieved({ ...own, bundle }, before.bundle, clock.now())).toBe(false);
});
