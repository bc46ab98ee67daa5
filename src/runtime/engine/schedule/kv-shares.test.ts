import { expect, it } from 'vitest';
import { KvShares } from './kv-shares.ts';

it('requests of a namespace take its limit together, each with all that it may grow to', () => {
  const shares = new KvShares();
  const own = { namespace: 'a', limitBytes: 100 };
  const end = shares.reserve(own, 60);
  expect(shares.leftOf(own)).toBe(40);
  expect(() => shares.reserve(own, 50)).toThrow(
    expect.objectContaining({
      code: 'NAMESPACE_KV_MEMORY',
      httpStatus: 429,
      retryAfterMs: 1000,
      message: expect.stringMatching(/can need 50 bytes .* of the 100 bytes .* can need 60/) as string,
    }),
  );
  end();
  end();
  shares.reserve(own, 100);
  expect(shares.leftOf(own)).toBe(0);
});

it('one that needs more than all of it is not told to come again', () => {
  const shares = new KvShares();
  expect(() => shares.reserve({ namespace: 'a', limitBytes: 100 }, 101)).toThrow(
    expect.objectContaining({ code: 'NAMESPACE_KV_MEMORY', retryAfterMs: undefined }),
  );
});

it('others, and namespaces without a limit, are no matter', () => {
  const shares = new KvShares();
  shares.reserve({ namespace: 'a', limitBytes: 100 }, 100);
  shares.reserve({ namespace: 'b', limitBytes: 100 }, 100);
  for (let count = 0; count < 10; count += 1) shares.reserve({ namespace: 'c' }, 1e9);
  expect(shares.leftOf({ namespace: 'c' })).toBe(Infinity);
});
