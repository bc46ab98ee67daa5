import { beforeEach, describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { TokenReviews } from './token-review.ts';

let api: FakeApi;
let clock: FakeClock;
let reviews: TokenReviews;
let answer: unknown;

const user = {
  username: 'system:serviceaccount:adaptlet-system:adaptlet-runtime',
  extra: {
    'authentication.kubernetes.io/pod-name': ['runtime-x'],
    'authentication.kubernetes.io/pod-uid': ['pod-uid'],
    'authentication.kubernetes.io/node-name': ['node-1'],
    'authentication.kubernetes.io/node-uid': ['node-uid'],
  },
};
const good = { authenticated: true, audiences: ['adaptlet'], user };

/** A JWT, as far as this side reads one. */
const token = (lifeMs = 600_000, id = 'a'): string => {
  const payload = { exp: Math.floor((clock.now() + lifeMs) / 1000), id };
  return `h.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.s`;
};

beforeEach(() => {
  api = new FakeApi();
  clock = new FakeClock();
  answer = { status: good };
  api.before = () => {
    if (answer instanceof Error) throw answer;
    return answer;
  };
  reviews = new TokenReviews({
    api,
    clock,
    logger: silentLog,
  });
});

describe('a token review', () => {
  it('says whom the token belongs to, for the audience adaptlet', async () => {
    expect(await reviews.review(token())).toEqual({
      namespace: 'adaptlet-system',
      serviceAccount: 'adaptlet-runtime',
      pod: 'runtime-x',
      podUid: 'pod-uid',
      node: 'node-1',
      nodeUid: 'node-uid',
    });
    expect(api.requests[0]?.body).toMatchObject({ spec: { audiences: ['adaptlet'] } });
  });

  it.each([
    [
      'a token that is not accepted',
      { authenticated: false, error: 'expired' },
      'does not accept the token: expired',
    ],
    ['an answer without a status', undefined, 'does not accept the token'],
    ['a token for another audience', { ...good, audiences: ['other'] }, 'not for the audience adaptlet'],
    ['an API server that knows no audiences', { authenticated: true, user }, 'not for the audience adaptlet'],
    ['a token of a user', { ...good, user: { username: 'alice' } }, 'not that of a ServiceAccount'],
    [
      'a user that looks like one',
      { ...good, user: { username: 'system:serviceaccount:a:b:c' } },
      'ServiceAccount',
    ],
  ])('refuses %s', async (_, status, what) => {
    answer = { status };
    await expect(reviews.review(token())).rejects.toMatchObject({
      code: 'RUNTIME_UNAUTHENTICATED',
      what: expect.stringContaining(what) as string,
    });
  });

  it('believes no identity that is there twice', async () => {
    const extra = { ...user.extra, 'authentication.kubernetes.io/node-name': ['node-1', 'node-2'] };
    answer = { status: { ...good, user: { ...user, extra } } };
    expect(await reviews.review(token())).toMatchObject({ node: '' });
  });

  it('is asked for once a minute, and once for those who ask at the same time', async () => {
    const one = token();
    await Promise.all([reviews.review(one), reviews.review(one), reviews.review(one)]);
    clock.advance(59_000);
    await reviews.review(one);
    expect(api.requests).toHaveLength(1);
    clock.advance(2_000);
    await reviews.review(one);
    expect(api.requests).toHaveLength(2);
  });

  it('never counts longer than the token', async () => {
    const short = token(20_000);
    await reviews.review(short);
    clock.advance(16_000);
    await reviews.review(short);
    expect(api.requests).toHaveLength(2);
    answer = new AdaptletError('KUBE_UNAVAILABLE', 'down');
    clock.advance(5_000);
    await expect(reviews.review(short)).rejects.toMatchObject({ code: 'REPLICA_UNAVAILABLE' });
  });

  it('still counts for five minutes while the API server does not answer', async () => {
    const one = token();
    await reviews.review(one);
    answer = new AdaptletError('KUBE_UNAVAILABLE', 'down');
    clock.advance(299_000);
    expect(await reviews.review(one)).toMatchObject({ node: 'node-1' });
    expect(reviews.gauges().stale).toBe(1);
    clock.advance(1_000);
    await expect(reviews.review(one)).rejects.toMatchObject({
      code: 'REPLICA_UNAVAILABLE',
      grpcStatus: 'UNAVAILABLE',
    });
    await expect(reviews.review(token(600_000, 'b'))).rejects.toMatchObject({ code: 'REPLICA_UNAVAILABLE' });
  });

  it('does not let a refused token in when the API server goes away', async () => {
    const one = token();
    answer = { status: { authenticated: false } };
    await expect(reviews.review(one)).rejects.toMatchObject({ code: 'RUNTIME_UNAUTHENTICATED' });
    clock.advance(11_000);
    answer = new AdaptletError('KUBE_UNAVAILABLE', 'down');
    await expect(reviews.review(one)).rejects.toMatchObject({ code: 'REPLICA_UNAVAILABLE' });
  });

  it('asks about a refused token at most every ten seconds', async () => {
    const one = token();
    answer = { status: { authenticated: false } };
    for (let tries = 0; tries < 5; tries++) await expect(reviews.review(one)).rejects.toThrow();
    expect(api.requests).toHaveLength(1);
  });

  it('remembers whom it accepted, however many others show tokens that are none', async () => {
    const one = token();
    await reviews.review(one);
    expect([reviews.wasAccepted(one), reviews.wasAccepted(token(600_000, 'never shown'))]).toEqual([
      true,
      false,
    ]);
    answer = { status: { authenticated: false } };
    const strangers = Array.from({ length: 20_001 }, (_, at) => token(600_000, `stranger ${at}`));
    for (const stranger of strangers) await expect(reviews.review(stranger)).rejects.toThrow();
    expect([reviews.isKnown(one), reviews.wasAccepted(one)]).toEqual([true, true]);
    clock.advance(300_000);
    expect([reviews.isKnown(one), reviews.wasAccepted(one)]).toEqual([false, true]);
    await expect(reviews.review(one)).rejects.toMatchObject({ code: 'RUNTIME_UNAUTHENTICATED' });
    expect(reviews.wasAccepted(one)).toBe(false);
  });

  it('does not remember whom it accepted for longer than the token', async () => {
    const one = token();
    await reviews.review(one);
    clock.advance(600_000);
    expect(reviews.wasAccepted(one)).toBe(false);
  });

  it.each(['', 'x'.repeat(20_000)])('does not bother the API server with what is no token', async (text) => {
    await expect(reviews.review(text)).rejects.toMatchObject({ code: 'RUNTIME_UNAUTHENTICATED' });
    expect(api.requests).toHaveLength(0);
  });
});
