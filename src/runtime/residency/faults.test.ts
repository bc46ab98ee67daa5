import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, key, never, type Shape, settle, stateOf, type World, world } from './fake-ports.ts';

const acquire = (w: World, name: string) => w.residency.acquire(key(name), { signal: never() });
const reasonOf = (w: World, name: string) => w.residency.facts().find((f) => f.key === key(name))?.reason;

describe('a failure', () => {
  const failing = ['fetch', 'resolve', 'compile', 'load', 'probe'] as const;
  for (const stage of failing) {
    it(`in ${stage} is told to who waits, holds no RAM, and is tried again after a growing delay`, async () => {
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

  it('without a tier waits for the next request after the delay', async () => {
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

  it('of one kind is forgotten when its cause is over, and others are not', async () => {
    const w = world();
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b', { tier: 'Memory' })]);
    w.script.fail('load a', new AdaptletError('PULL_CREDENTIAL_AWAITED', 'no stream'));
    w.script.fail('load b', new AdaptletError('REGISTRY_UNAVAILABLE', 'gone'));
    await settle();
    expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Failed', 'Failed']);
    w.residency.retryFailed('PULL_CREDENTIAL_AWAITED', 'the operator is reached again');
    await settle();
    expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Resident', 'Failed']);
    expect(w.arrows.some(({ cause, reason }) => cause === 'Reset' && reason.includes('reached again'))).toBe(
      true,
    );
  });

  it('that needs a change stays until the resource changes or someone asks for a retry', async () => {
    const w = world();
    w.engine.probeResult = { finite: true, maxDifference: 0 };
    w.residency.apply([adapter('a', { tier: 'Memory' })]);
    await settle();
    expect([stateOf(w, 'a'), reasonOf(w, 'a')]).toEqual(['Failed', 'ADAPTER_NO_EFFECT']);
    expect(w.arrows.at(-1)?.cause).toBe('ADAPTER_NO_EFFECT');
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

  it('of a smoke test keeps the adapter from serving', async () => {
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

  it('to write a verdict does not keep a good adapter from serving', async () => {
    const w = world();
    w.script.fail('verdict', new Error('disk full'));
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
  });

  it('to remove an artifact does not keep the adapter registered', async () => {
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
  it('is refused by name before anything is fetched', async () => {
    const w = world();
    w.residency.apply([adapter('a', { baseModel: 'huge', tier: 'Disk' })]);
    await settle();
    expect([reasonOf(w, 'a'), w.script.calls.length]).toEqual(['ADAPTER_BASE_MISMATCH', 0]);
  });

  it('is refused by digest, and accepted when one of its digests is the one here', async () => {
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
  it('that the source gives anew under the same uid is refused', async () => {
    const w = world();
    w.resolutions.set('uid-a', w.digest('recorded'));
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    expect(reasonOf(w, 'a')).toBe('ADAPTER_DIGEST_CHANGED');
    expect(w.residency.resolved(key('a'))).toBe(w.digest('recorded'));
  });

  it('that the source has no more is told as a change of the source, unless the manifest itself names it', async () => {
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

  it('is resolved anew for a new uid of the same name', async () => {
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
  it('of an artifact that was on the disk already is fetched again, once', async () => {
    const w = fromDisk();
    w.digest('a');
    w.script.fail('compile a', badFiles());
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect([w.script.count('quarantine a'), w.script.count('fetch a')]).toEqual([1, 1]);
  });

  it.each(['ADAPTER_NEEDS_OPERATOR', 'ADAPTER_DORA'] as const)(
    'is not what a node has that lacks something: with %s the artifact stays, also without its source',
    async (code) => {
      const w = fromDisk();
      w.digest('a');
      w.script.fail('compile a', new AdaptletError(code, 'not on this node'));
      w.script.fail('fetch a', new AdaptletError('REGISTRY_UNAVAILABLE', 'no link'), 9);
      w.residency.apply([adapter('a')]);
      await expect(acquire(w, 'a')).rejects.toThrow('not on this node');
      expect([w.script.count('quarantine a'), w.disk.size]).toEqual([0, 1]);
      w.residency.retry(key('a'));
      using lease = await acquire(w, 'a');
      expect(lease.name).toBe('a');
    },
  );

  it('of an artifact that rotted is found before it is compiled, and fetched again', async () => {
    const w = world();
    w.script.fail('verify a', new AdaptletError('ARTIFACT_CORRUPT', 'its digest is another'));
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect([w.script.count('quarantine a'), w.script.count('fetch a'), w.script.count('compile a')]).toEqual([
      1, 2, 1,
    ]);
  });

  it('that is as bad when it is fetched again is the fault of who published it', async () => {
    const w = fromDisk();
    w.digest('a');
    w.script.fail('compile a', badFiles(), 3);
    w.residency.apply([adapter('a')]);
    await expect(acquire(w, 'a')).rejects.toThrow('stands for any refusal');
    w.residency.retry(key('a'));
    await expect(acquire(w, 'a')).rejects.toThrow('stands for any refusal');
    expect([w.script.count('quarantine a'), w.script.count('fetch a')]).toEqual([1, 1]);
  });

  it('in compiled form is compiled again, once', async () => {
    const w = world();
    w.script.fail('load a', corrupt());
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect([w.script.count('uncompile a'), w.script.count('compile a')]).toEqual([1, 2]);
  });

  it('in compiled form twice in a row is a failure', async () => {
    const w = world();
    w.script.fail('load a', corrupt(), 2);
    w.residency.apply([adapter('a')]);
    await expect(acquire(w, 'a')).rejects.toThrow('COMPILED_FILE_CORRUPT');
    expect(w.residency.usage().usedBytes).toBe(0);
  });
});

it('a compile that never ends is given up and does not hold up others for ever', async () => {
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

it.each(['fetch', 'compile'])(
  'a %s that works on without a word of its source is not silent',
  async (stage) => {
    const w = world({ fetchStallMs: 1_000, stageLimitMs: 1_000 });
    const work = w.script.hold(`${stage} a`);
    w.residency.apply([adapter('a')]);
    await settle();
    for (let second = 0; second < 3; second++) {
      w.clock.advance(900);
      await settle();
      w.works.get(`${stage} a`)?.();
    }
    work.resolve();
    using lease = await acquire(w, 'a');
    expect(lease.name).toBe('a');
    expect(w.script.count(`${stage} a`)).toBe(1);
  },
);
