import { describe, expect, it } from 'vitest';
import { settle, unsettle } from './across-threads.ts';
import { AdaptletError, asAdaptletError } from './adaptlet-error.ts';
import { catalogue, type ErrorCode } from './catalogue.ts';

const codes = Object.keys(catalogue) as ErrorCode[];

describe('the error catalogue', () => {
  it.each(codes)('%s says what it means and what to do, in sentences', (code) => {
    const { summary, advice } = catalogue[code];
    expect(code).toMatch(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/);
    for (const text of [summary, advice]) expect(text).toMatch(/^(?:[A-Z]|`|[a-z_]+\.json ).*\.$/s);
  });

  it('says what happened and what to do in one message', () => {
    const error = new AdaptletError('QUEUE_FULL', '128 requests wait.', { retryAfterMs: 500 });
    expect(error.message).toBe(`128 requests wait. ${catalogue.QUEUE_FULL.advice}`);
    expect(error).toMatchObject({
      what: '128 requests wait',
      grpcStatus: 'RESOURCE_EXHAUSTED',
      httpStatus: 429,
      retry: 'Backoff',
    });
  });

  it.each<[ErrorCode, number]>([
    ['QUEUE_FULL', 429],
    ['NAMESPACE_REQUESTS', 429],
    ['NAMESPACE_TOKENS', 429],
    ['NAMESPACE_KV_MEMORY', 429],
    ['MEMORY_PRESSURE', 503],
    ['ENGINE_DOWN', 503],
    ['ADAPTER_NOT_AVAILABLE', 503],
    ['NO_VERSION_SERVES', 503],
  ])(
    '%s is %d: 429 where others have what there is, 503 where nothing can serve it here now',
    (code, httpStatus) => {
      expect(new AdaptletError(code, 'x').httpStatus).toBe(httpStatus);
    },
  );

  it('gives the advice of the cause instead of that of the code, also when the error comes from another thread', async () => {
    const error = new AdaptletError('QUEUE_FULL', 'nobody reads', { advice: 'Read.' });
    expect([error.message, error.advice]).toEqual(['nobody reads. Read.', 'Read.']);
    const settled = await settle(() => Promise.reject(error));
    expect(() => unsettle(settled)).toThrow('nobody reads. Read.');
    expect(new AdaptletError('QUEUE_FULL', 'x').advice).toBe(catalogue.QUEUE_FULL.advice);
  });

  it('keeps an error of ours as it is and wraps a foreign one with its cause', () => {
    const ours = new AdaptletError('QUEUE_FULL', 'x');
    expect(asAdaptletError(ours, 'y')).toBe(ours);
    const cause = new TypeError('boom');
    expect(asAdaptletError(cause, 'loading')).toMatchObject({
      code: 'INTERNAL',
      cause,
      what: 'loading: boom',
    });
  });
});
