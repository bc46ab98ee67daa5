import { describe, expect, test } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, key, never, type Shape, settle, stateOf, type World, world } from './fake-ports.ts';

const acquire = (w: World, name: string) => w.residency.acquire(key(name), { signal: never() });
const reasonOf = (w: World, name: string) => w.residency.facts().find((f) => f.key === key(name))?.reason;

describe('a failure', () => {
  const failing = ['fetch', 'resolve', 'compile', 'load', 'probe'] as const;
  for (const stage of failing) {
    test(`in ${stage} is told to who waits, holds no RAM, and is tried again after a growing delay`, async () => {
      const w = world();
      w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('good', { tier: 'Memory' })]);
      // The good one resolves first or second: only calls with a name are aimed at one adapter.
      w.script.fail(stage === 'resolve' ? 'resolve' : `${stage} a`, new AdaptletError('INTERNAL', 'boom'), 2);
      const outcome = expect(acquire(w, 'a')).rejects.toThrow('(INTERNAL): boom');
      await outcome;
      await settle();
      expect(stateOf(w, 'a')).toBe('Failed');
      expect([...w.engine.loaded.keys()].filter((name) => name.startsWith('team/a'))).toEqual([]);
      await expect(acquire(w, 'a')).rejects.toMatchObject({
        code: 'ADAPTER_NOT_AVAILABLE',
        retryAfterMs: 1_000,
      });
      w.clock.advance(1_000);
      await settle();
      w.clock.advance(2_000);
      await settle();
      expect([stateOf(w, 'a'), stateOf(w, 'good')]).toEqual(['Resident', 'Resident']);
    });
  }

  test('without a tier waits for the next request after the delay', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    w.script.fail('fetch a', new Error('refused'));
    await expect(acquire(w, 'a')).rejects.toThrow('refused');
    w.clock.advance(10_000);
    await settle();
    expect(stateOf(w, 'a')).toBe('Failed');
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
  });

  test('that needs a change stays until the resource changes or someone asks for a retry', async () => {
    const w = world();
    w.engine.probeResult = { finite: true, maxDifference: 0 };
    w.residency.apply([adapter('a', { tier: 'Memory' })]);
    await settle();
    expect([stateOf(w, 'a'), reasonOf(w, 'a')]).toEqual(['Failed', 'ADAPTER_NO_EFFECT']);
    expect(w.engine.loaded.size).toBe(0);
    w.clock.advance(3_600_000);
    w.residency.apply([adapter('a', { tier: 'Memory', priority: 1 })]);
    await settle();
    expect(w.script.count('probe a')).toBe(1);
    w.residency.retry(key('a'));
    await settle();
    expect(w.script.count('probe a')).toBe(2);
    const lenient: Shape = { validation: { smokeTests: [], allowNoEffect: true }, tier: 'Memory' };
    w.residency.apply([adapter('a', lenient)]);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  test('of a smoke test keeps the adapter from serving', async () => {
    const w = world();
    const smokeTests = [{ name: 'sun', prompt: 'sun:', maxTokens: 4, expect: { contains: 'sun' } }];
    w.residency.apply([adapter('a', { validation: { smokeTests, allowNoEffect: false } })]);
    await expect(acquire(w, 'a')).rejects.toThrow('SMOKE_TEST_FAILED');
    expect(w.residency.tryAcquire(key('a'))).toBeUndefined();
    expect(w.verdicts.size).toBe(0);
    w.engine.answer = 'the sun';
    w.residency.retry(key('a'));
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
  });

  test('to write a verdict does not keep a good adapter from serving', async () => {
    const w = world();
    w.script.fail('verdict', new Error('disk full'));
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
  });

  test('to remove an artifact does not keep the adapter registered', async () => {
    const w = world();
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    w.script.fail('remove a', new Error('busy'));
    w.residency.apply([]);
    await settle();
    expect(w.residency.facts()).toEqual([]);
  });
});

describe('an adapter for another base model', () => {
  test('is refused by name before anything is fetched', async () => {
    const w = world();
    w.residency.apply([adapter('a', { baseModel: 'huge', tier: 'Disk' })]);
    await settle();
    expect([reasonOf(w, 'a'), w.script.calls.length]).toEqual(['ADAPTER_BASE_MISMATCH', 0]);
  });

  test('is refused by digest, and accepted when one of its digests is the one here', async () => {
    const w = world();
    const here = w.engine.baseDigest;
    w.residency.apply([
      adapter('other', { baseModelDigests: [w.digest('x')], tier: 'Memory' }),
      adapter('same', { baseModelDigests: [w.digest('x'), here], tier: 'Memory' }),
    ]);
    await settle();
    expect([reasonOf(w, 'other'), stateOf(w, 'same')]).toEqual(['ADAPTER_BASE_MISMATCH', 'Resident']);
  });
});

describe('a digest', () => {
  test('that the source gives anew under the same uid is refused', async () => {
    const w = world();
    w.resolutions.set('uid-a', w.digest('recorded'));
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    expect(reasonOf(w, 'a')).toBe('ADAPTER_DIGEST_CHANGED');
    expect(w.residency.resolved(key('a'))).toBe(w.digest('recorded'));
  });

  test('that the source has no more is told as a change of the source, unless the manifest itself names it', async () => {
    for (const [pinned, code] of [
      [false, 'ADAPTER_DIGEST_CHANGED'],
      [true, 'DIGEST_MISMATCH'],
    ] as const) {
      const w = world();
      w.resolutions.set('uid-a', w.digest('recorded'));
      w.script.fail('fetch a', new AdaptletError('DIGEST_MISMATCH', 'the tag moved'));
      w.residency.apply([
        adapter('a', { tier: 'Disk', ...(pinned ? { digest: w.digest('recorded') } : {}) }),
      ]);
      await settle();
      expect(reasonOf(w, 'a')).toBe(code);
    }
  });

  test('is resolved anew for a new uid of the same name', async () => {
    const w = world();
    w.residency.apply([adapter('a', { tier: 'Memory' })]);
    await settle();
    w.content.set('a', 'second');
    w.residency.apply([adapter('a', { tier: 'Memory', uid: 'uid-2' })]);
    await settle();
    expect(w.residency.resolved(key('a'))).toBe(w.digest('a'));
    expect([...w.resolutions.keys()]).toEqual(['uid-2']);
  });
});

const corrupt = () => new AdaptletError('COMPILED_FILE_CORRUPT', 'crc32 differs');

const badFiles = () => new AdaptletError('ADAPTER_NO_EFFECT', 'stands for any refusal of files');
const fromDisk = (): World => {
  const before = world();
  return world({
    disk: new Map([[before.digest('a'), 5]]),
    resolved: new Map([['uid-a', before.digest('a')]]),
  });
};

describe('a corrupt file', () => {
  test('of an artifact that was on the disk already is fetched again, once', async () => {
    const w = fromDisk();
    w.digest('a');
    w.script.fail('compile a', badFiles());
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect([w.script.count('quarantine a'), w.script.count('fetch a')]).toEqual([1, 1]);
  });

  test('that is as bad when it is fetched again is the fault of who published it', async () => {
    const w = fromDisk();
    w.digest('a');
    w.script.fail('compile a', badFiles(), 3);
    w.residency.apply([adapter('a')]);
    await expect(acquire(w, 'a')).rejects.toThrow('stands for any refusal');
    w.residency.retry(key('a'));
    await expect(acquire(w, 'a')).rejects.toThrow('stands for any refusal');
    expect([w.script.count('quarantine a'), w.script.count('fetch a')]).toEqual([1, 1]);
  });

  test('in compiled form is compiled again, once', async () => {
    const w = world();
    w.script.fail('load a', corrupt());
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect([w.script.count('uncompile a'), w.script.count('compile a')]).toEqual([1, 2]);
  });

  test('in compiled form twice in a row is a failure', async () => {
    const w = world();
    w.script.fail('load a', corrupt(), 2);
    w.residency.apply([adapter('a')]);
    await expect(acquire(w, 'a')).rejects.toThrow('COMPILED_FILE_CORRUPT');
    expect(w.residency.usage().usedBytes).toBe(0);
  });
});

describe('the end of the engine process', () => {
  const stages = ['compile', 'load', 'probe'] as const;
  for (const stage of stages) {
    test(`during ${stage} is survived: the load starts over when the engine is back`, async () => {
      const w = world();
      const held = w.script.hold(`${stage} a`);
      w.residency.apply([adapter('a')]);
      const waiting = acquire(w, 'a');
      await settle();
      w.engine.kill();
      held.resolve();
      await settle();
      expect(stateOf(w, 'a')).toBe('Compiled');
      expect(w.residency.usage().usedBytes).toBe(0);
      w.engine.become('ready');
      using lease = await waiting;
      expect(lease.name).toBe('a');
    });
  }

  test('before its calls are cut off is survived as well', async () => {
    const w = world();
    const loading = w.script.hold('load a');
    w.residency.apply([adapter('a')]);
    const waiting = acquire(w, 'a');
    await settle();
    loading.reject(new AdaptletError('ENGINE_DOWN', 'cut'));
    await settle();
    expect(w.script.count('load a')).toBe(1);
    w.engine.restart();
    using lease = await waiting;
    expect(lease.name).toBe('a');
  });

  test('while a load waits for its place takes its reservation: it makes another before it loads', async () => {
    const w = world({ maxParallelLoads: 1 });
    w.script.hold('load a');
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b', { tier: 'Memory' })]);
    await settle();
    const loading = w.script.hold('load b');
    w.engine.restart();
    await settle();
    expect(w.script.count('load b')).toBe(1);
    const charged = () => w.residency.facts().find((f) => f.key === key('b'))?.residentBytes;
    expect(charged()).toBe(10);
    loading.resolve();
    await settle();
    expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Resident', 'Resident']);
  });

  test('right after a load leaves nothing that is taken for loaded', async () => {
    const w = world();
    const load = w.engine.load.bind(w.engine);
    let first = true;
    w.engine.load = (name) => {
      if (!first) return load(name);
      first = false;
      queueMicrotask(() => {
        w.engine.restart();
      });
      return Promise.resolve({ bytes: 10, ms: 1 });
    };
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(w.engine.loaded.has(lease.engineName)).toBe(true);
  });

  test('voids leases: giving them back later changes nothing', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    const lease = await acquire(w, 'a');
    w.engine.restart();
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
    using fresh = await acquire(w, 'a');
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
    expect(fresh.engineName).toBe(lease.engineName);
    expect(w.residency.facts()[0]?.references).toBe(1);
  });

  test('ends a drain', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    await acquire(w, 'a');
    const evicting = w.residency.evict(key('a'), never());
    await settle();
    expect(stateOf(w, 'a')).toBe('Draining');
    w.engine.restart();
    await evicting;
    await settle();
    expect(stateOf(w, 'a')).toBe('Compiled');
  });

  test('during an unload leaves the adapter out', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    (await acquire(w, 'a'))[Symbol.dispose]();
    w.script.hold('unload a');
    const evicting = w.residency.evict(key('a'), never());
    await settle();
    w.engine.restart();
    await evicting;
    expect([stateOf(w, 'a'), w.engine.loaded.size]).toEqual(['Compiled', 0]);
  });

  test('while an adapter is being removed lets the removal end', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    await acquire(w, 'a');
    w.residency.apply([]);
    await settle();
    w.engine.kill();
    await settle();
    expect([w.residency.facts().length, w.disk.size]).toEqual([0, 0]);
  });

  test('is followed by reloads: live requests, then what the plan wants, then the most recently used', async () => {
    const w = world({ maxParallelLoads: 1, budgetBytes: 1_000 });
    const names = ['old', 'recent', 'wanted', 'held', 'live', 'never'];
    w.residency.apply([
      adapter('old'),
      adapter('recent'),
      adapter('wanted', { tier: 'Memory' }),
      adapter('held', { held: true }),
      adapter('live'),
      adapter('never'),
    ]);
    for (const name of ['old', 'recent', 'live']) (await acquire(w, name))[Symbol.dispose]();
    await settle();
    w.engine.kill();
    w.script.calls.length = 0;
    const live = acquire(w, 'live');
    await settle();
    w.engine.become('ready');
    (await live)[Symbol.dispose]();
    await settle();
    const loads = w.script.calls.filter((call) => call.startsWith('load')).map((call) => call.slice(5));
    expect(loads).toEqual(['live', 'held', 'wanted', 'recent', 'old']);
    expect(names.map((name) => stateOf(w, name)).slice(0, 5)).toEqual(Array(5).fill('Resident'));
  });

  test('again and again under one adapter makes that one fail and nobody else', async () => {
    const w = world({ maxParallelLoads: 2 });
    w.residency.apply([adapter('good', { tier: 'Memory' }), adapter('bad', { tier: 'Memory' })]);
    for (let i = 0; i < 3; i++) w.script.hold('load bad');
    for (let i = 0; i < 3; i++) {
      await settle();
      expect(w.script.count('load bad')).toBe(i + 1);
      w.engine.restart();
    }
    await settle();
    expect([stateOf(w, 'good'), stateOf(w, 'bad')]).toEqual(['Resident', 'Failed']);
    expect(w.residency.facts()[0]?.message).toContain('ended 3 times in a row while adapter team/bad');
  });

  test('makes those suspect that were being loaded: from then on each is loaded alone', async () => {
    const w = world({ maxParallelLoads: 2 });
    for (const name of ['good', 'bad']) w.script.hold(`load ${name}`);
    w.residency.apply([adapter('good', { tier: 'Memory' }), adapter('bad', { tier: 'Memory' })]);
    await settle();
    expect([w.script.count('load good'), w.script.count('load bad')]).toEqual([1, 1]);
    const loading = w.script.hold('load good');
    w.engine.restart();
    await settle();
    expect([w.script.count('load good'), w.script.count('load bad')]).toEqual([2, 1]);
    loading.resolve();
    await settle();
    expect([stateOf(w, 'good'), stateOf(w, 'bad')]).toEqual(['Resident', 'Resident']);
  });

  test('while requests wait: they wait on within their deadline, and a closed engine refuses them', async () => {
    const w = world();
    w.engine.become('down');
    w.residency.apply([adapter('a')]);
    const deadline = new AbortController();
    const late = w.residency.acquire(key('a'), { signal: deadline.signal });
    const outcome = expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await settle();
    deadline.abort(new AdaptletError('DEADLINE_EXCEEDED', 'too late'));
    await outcome;
    const refused = expect(acquire(w, 'a')).rejects.toThrow('ENGINE_DOWN');
    await settle();
    w.engine.become('closed');
    await refused;
  });
});

test('a compile that never ends is given up and does not hold up others for ever', async () => {
  const w = world({ maxParallelLoads: 1, stageLimitMs: 1_000 });
  w.residency.apply([adapter('stuck', { tier: 'Disk' })]);
  w.script.hold('compile stuck');
  await settle();
  w.residency.apply([adapter('stuck', { tier: 'Disk' }), adapter('a')]);
  const waiting = acquire(w, 'a');
  await settle();
  w.clock.advance(1_000);
  using lease = await waiting;
  expect(lease.name).toBe('a');
  expect(reasonOf(w, 'stuck')).toBe('COMPILE_STALLED');
});
