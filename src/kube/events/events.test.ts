import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { KubeRequest } from '../client/api.ts';
import type { KubeObject } from '../client/object.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { EventRecorder, type EventRecorderOptions } from './events.ts';
import { cutBytes, type EventNote, eventNameOf } from './object.ts';

const objectOf = (name: string, namespace = 'team'): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: {
    name,
    namespace,
    uid: `uid-${name}`,
    resourceVersion: '7',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
});

const noted = (name: string, note: string): EventNote => ({
  regarding: objectOf(name),
  type: 'Normal',
  reason: 'Sized',
  action: 'Resize',
  note,
});

const start = (options: Partial<EventRecorderOptions> = {}) => {
  const clock = new FakeClock();
  const api = new FakeApi();
  const warnings: object[] = [];
  const logger = {
    debug: () => {},
    info: () => {},
    warn: (keys: object) => void warnings.push(keys),
    error: () => {},
  };
  const recorder = new EventRecorder({
    api,
    clock,
    random: () => 0.5,
    logger,
    controller: 'example.com/sizer',
    instance: 'sizer-1',
    ...options,
  });
  /** Time passes, and what it makes happen happens. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left >= 0; left -= 1000) {
      clock.advance(Math.min(left, 1000));
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    }
  };
  const events = () => [...api.objects.values()] as Record<string, unknown>[];
  const writes = (method: KubeRequest['method']) =>
    api.requests.filter((request) => request.method === method);
  return { clock, api, recorder, pass, events, writes, warnings };
};

const away = () => {
  throw new AdaptletError('KUBE_UNAVAILABLE', 'away');
};

describe('an event', () => {
  it('is told with what the API server wants to know', async () => {
    const { recorder, pass, events } = start();
    recorder.record(noted('w', 'now 3 wide'));
    await pass(0);
    expect(events()).toEqual([
      expect.objectContaining({
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: expect.objectContaining({
          namespace: 'team',
          name: expect.stringMatching(/^w\.[0-9a-f]{20}$/),
        }),
        eventTime: '2023-11-14T22:13:20.000000Z',
        type: 'Normal',
        reason: 'Sized',
        action: 'Resize',
        note: 'now 3 wide',
        reportingController: 'example.com/sizer',
        reportingInstance: 'sizer-1',
        regarding: {
          apiVersion: 'example.com/v1',
          kind: 'Widget',
          name: 'w',
          namespace: 'team',
          uid: 'uid-w',
          resourceVersion: '7',
        },
      }),
    ]);
  });

  it('of an object of the cluster lives in the namespace default', async () => {
    const { recorder, pass, events } = start();
    recorder.record({ ...noted('w', 'x'), regarding: objectOf('w', '') });
    await pass(0);
    expect(events()).toMatchObject([{ metadata: { namespace: 'default' } }]);
  });

  it('that happens again is one with a count, told ever more rarely', async () => {
    const { recorder, pass, events, writes } = start();
    for (let second = 0; second < 600; second += 1) {
      recorder.record(noted('w', 'x'));
      await pass(999);
    }
    expect(writes('POST').length).toBe(1);
    expect(writes('PATCH').length).toBeLessThan(7);
    await pass(1_800_000);
    expect(events()).toMatchObject([
      { series: { count: 600, lastObservedTime: expect.stringContaining('T22:23:') } },
    ]);
    const told = writes('PATCH').length;
    await pass(3_600_000);
    expect(writes('PATCH').length).toBe(told);
  });

  it('that comes again after a long time is another one', async () => {
    const { recorder, pass, events } = start();
    recorder.record(noted('w', 'x'));
    await pass(601_000);
    recorder.record(noted('w', 'x'));
    await pass(0);
    expect(events()).toHaveLength(2);
  });

  it('is told anew when the server has forgotten it', async () => {
    const { api, recorder, pass, events } = start();
    recorder.record(noted('w', 'x'));
    await pass(0);
    api.objects.clear();
    recorder.record(noted('w', 'x'));
    await pass(60_000);
    expect(events()).toMatchObject([{ series: { count: 2 } }]);
  });

  it('is told when the API server is back, once', async () => {
    const { api, recorder, pass, events, warnings } = start();
    api.before = away;
    recorder.record(noted('w', 'x'));
    await pass(500);
    api.before = () => {};
    await pass(2000);
    expect(events()).toHaveLength(1);
    expect(recorder.dropped).toBe(0);
    expect(warnings).toEqual([]);
  });

  it('is told once when only the answer was lost', async () => {
    const { api, recorder, pass, events, writes } = start();
    api.before = (request) => {
      if (writes('POST').length > 0) return;
      api.serve(request);
      away();
    };
    recorder.record(noted('w', 'x'));
    await pass(10_000);
    expect(writes('POST').length).toBe(2);
    expect(events()).toHaveLength(1);
    expect(recorder.dropped).toBe(0);
  });

  it('is dropped, counted and logged when the server does not take it', async () => {
    const { api, recorder, pass, warnings } = start();
    api.before = () => {
      throw new AdaptletError('KUBE_FORBIDDEN', 'no');
    };
    recorder.record(noted('w', 'x'));
    recorder.record(noted('v', 'x'));
    await pass(0);
    expect(recorder.dropped).toBe(2);
    expect(warnings).toHaveLength(1);
  });
});

describe('a storm of events', () => {
  it('of one object leaves room for those of others', async () => {
    const { recorder, pass, writes } = start();
    for (let i = 0; i < 1000; i += 1) recorder.record(noted('noisy', `note ${i}`));
    recorder.record(noted('quiet', 'x'));
    await pass(60_000);
    expect(writes('POST').length).toBe(26);
    expect(recorder.dropped).toBe(975);
  });

  it('of many objects is bounded in requests and in what waits', async () => {
    const { recorder, pass, writes } = start({ total: { perSecond: 2, burst: 10 } });
    for (let i = 0; i < 5000; i += 1) recorder.record(noted(`w${i}`, 'x'));
    await pass(0);
    expect(writes('POST').length).toBe(10);
    await pass(10_000);
    expect(writes('POST').length).toBe(30);
    await pass(200_000);
    expect(writes('POST').length + recorder.dropped).toBe(5000);
    expect(writes('POST').length).toBeLessThanOrEqual(256);
  });
});

describe('the end of a recorder', () => {
  it('tells what is not told yet, counts as well, and takes nothing more', async () => {
    const { recorder, pass, events, writes } = start();
    recorder.record(noted('w', 'x'));
    await pass(0);
    recorder.record(noted('w', 'x'));
    recorder.record(noted('v', 'x'));
    const closing = recorder.close();
    await pass(0);
    await closing;
    expect(events().map((event) => (event['series'] as { count: number } | undefined)?.count)).toEqual([
      2,
      undefined,
    ]);
    recorder.record(noted('u', 'x'));
    await pass(60_000);
    expect(writes('POST').length).toBe(2);
  });

  it('tells an event once that is on its way to the server then', async () => {
    const { api, recorder, pass } = start();
    const answer = Promise.withResolvers<void>();
    const asked: string[] = [];
    api.before = async ({ method }) => {
      asked.push(method);
      // As the real one: a series of one is none.
      if (method === 'PATCH') throw new AdaptletError('KUBE_INVALID', 'should be at least 2');
      await answer.promise;
    };
    recorder.record(noted('w', 'x'));
    await pass(0);
    const closing = recorder.close();
    await pass(0);
    answer.resolve();
    await pass(0);
    await closing;
    expect(recorder.dropped).toBe(0);
    expect(asked).toEqual(['POST']);
  });

  it('waits no longer than it was told to, also for a server that never answers', async () => {
    const { api, recorder, pass } = start();
    api.before = () => new Promise<void>(() => {});
    recorder.record(noted('w', 'x'));
    const closing = recorder.close(2000);
    await pass(2000);
    await closing;
  });
});

describe('texts of events', () => {
  it('are cut to their bytes, between characters', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.integer({ min: 3, max: 80 }),
        (text, max) => {
          const cut = cutBytes(text, max);
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(max);
          if (Buffer.byteLength(text) <= max) expect(cut).toBe(text);
          else {
            expect(text.startsWith(cut.slice(0, -1))).toBe(true);
            expect(cut.endsWith('…')).toBe(true);
            expect(Buffer.byteLength(cut)).toBeGreaterThan(max - 4);
          }
        },
      ),
    );
  });

  it('make names of allowed length, also where a long one is cut at a dot', () => {
    const name = `${'a'.repeat(230)}.${'b'.repeat(22)}`;
    expect(eventNameOf(noted(name, ''), '0'.repeat(21))).toBe(`${'a'.repeat(230)}.${'0'.repeat(21)}`);
  });
});
