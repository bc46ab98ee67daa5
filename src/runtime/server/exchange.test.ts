import { expect, it, vi } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { requestContext } from './context.ts';
import { Exchange } from './exchange.ts';
import { generateRequest, grpcDefaults } from './options.ts';
import { openIdentify } from './testing/identify.ts';
import { type FakeParts, fakeParts } from './testing/parts.ts';

const begun = async (parts: FakeParts, text = 'abc') => {
  const exchange = new Exchange(parts, { protocol: 'grpc', method: 'm', headers: new Map() });
  const context = requestContext(new Map(), { model: 'sql' }, await openIdentify()({ headers: new Map() }));
  const request = generateRequest({ kind: 'text', text }, {}, grpcDefaults, parts.serving.base);
  await exchange.begin(context, request);
  return exchange;
};

it('an answer is collected whole, and its end leaves nothing behind', async () => {
  const parts = fakeParts();
  const exchange = await begun(parts);
  const { text, ids, done } = await exchange.collect();
  expect({ text, ids, tokens: done.completionTokens }).toEqual({ text: 'ABC', ids: [65, 66, 67], tokens: 3 });
  exchange.end();
  await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
  expect(await parts.telemetry.metricsText()).toContain(
    'adaptlet_requests_total{adapter="upper",rollout="sql",arm="stable",protocol="grpc",code="OK"} 1',
  );
});

it('a deadline ends the generation with its own reason', async () => {
  const clock = new FakeClock();
  const parts = fakeParts({ clock, timeouts: { firstTokenMs: 0, tokenMs: 0, requestMs: 50 } });
  const exchange = await begun(parts);
  parts.serving.gate = async () => clock.advance(30);
  const failure = exchange.fail(await exchange.collect().catch((error: unknown) => error));
  expect(failure.code).toBe('DEADLINE_EXCEEDED');
  expect(failure.message).toContain('within 50 ms');
});

it('an answer that makes progress is given, however long it takes', async () => {
  const clock = new FakeClock();
  const parts = fakeParts({ clock });
  const exchange = await begun(parts, 'x'.repeat(200));
  parts.serving.gate = async () => clock.advance(9_999);
  expect((await exchange.collect()).done.completionTokens).toBe(200);
  exchange.end();
});

it('a generation whose events were never read is still read to its end', async () => {
  const parts = fakeParts();
  const exchange = await begun(parts);
  exchange.fail(new AdaptletError('REQUEST_INVALID', 'something else'));
  await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
  expect(parts.serving.calls[0]?.signal.aborted).toBe(true);
});

it('a generation that ends without a last event is a defect, not an answer', async () => {
  const parts = fakeParts();
  const exchange = new Exchange(parts, { protocol: 'grpc', method: 'm', headers: new Map() });
  parts.serving.generate = async () => ({
    id: 'x',
    served: { adapter: '', digest: parts.serving.base.digest, rollout: '', arm: 'base', rule: '' },
    events: (async function* () {})(),
  });
  const context = requestContext(new Map(), { model: 'tiny' }, await openIdentify()({ headers: new Map() }));
  await exchange.begin(
    context,
    generateRequest({ kind: 'text', text: 'x' }, {}, grpcDefaults, parts.serving.base),
  );
  await expect(exchange.collect()).rejects.toThrow(/without a last event/);
});

it('the reason of an aborted request wins over the errors that it causes', async () => {
  const exchange = await begun(fakeParts());
  exchange.cancel();
  expect(exchange.fail(new Error('socket hang up')).code).toBe('REQUEST_CANCELLED');
});

it('lines of logs about a request have its trace, and the id of its answer once it has one', async () => {
  const lines: [object, string][] = [];
  const note = (keys: object, message: string): void => void lines.push([keys, message]);
  const parts = fakeParts({ log: { debug: note, info: note, warn: note, error: note } });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const headers = new Map([['traceparent', `00-${trace}-b7ad6b7169203331-01`]]);
  const answered = new Exchange(parts, { protocol: 'grpc', method: 'm', headers });
  const context = requestContext(new Map(), { model: 'sql' }, await openIdentify()({ headers: new Map() }));
  const request = generateRequest({ kind: 'text', text: 'a' }, {}, grpcDefaults, parts.serving.base);
  const { id } = await answered.begin(context, request);
  await answered.collect();
  answered.end();
  answered.end();
  new Exchange(parts, { protocol: 'grpc', method: 'm', headers }).fail(
    new AdaptletError('REQUEST_INVALID', 'wrong'),
  );
  expect(lines).toEqual([
    [{ method: 'm', caller: undefined, id, trace_id: trace }, 'request answered'],
    [
      { method: 'm', caller: undefined, trace_id: trace, code: 'REQUEST_INVALID', reason: 'wrong' },
      'request refused',
    ],
  ]);
});
