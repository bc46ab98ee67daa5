import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { kstatusOf } from '../../api/kstatus.fixture.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { anAdapter, aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { inUseFinalizer } from '../reconcile/uses.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { AdapterWorld, digest, v1 } from './world.fixture.ts';

describe('the digest of an Adapter', () => {
  it('needs no registry when the spec or the image has it', async () => {
    const world = new AdapterWorld().adapter();
    await world.settle();
    expect(world.status.digest).toBe(digest);
    const other = new AdapterWorld().tag(`registry.example/sql@${fakeDigest('2')}`);
    await other.settle();
    expect(other.status.digest).toBe(fakeDigest('2'));
    expect([...world.questions, ...other.questions, ...world.reasons, ...other.reasons]).toEqual([]);
    expect(other.condition('Resolved')).toBe(`True Pinned: the digest is ${fakeDigest('2')}`);
  });

  it('is asked for once when the image has a tag, and stays although the tag moves', async () => {
    const world = new AdapterWorld().tag();
    await world.settle();
    expect(world.condition('Resolved')).toBe('Unknown Resolving: asks for registry.example/team-a/sql:v1');
    expect(world.condition('Ready')).toMatch(/^False NotResolved/);
    world.questions[0]?.answer.resolve(digest);
    await setImmediate();
    await world.settle();
    expect(world.status.digest).toBe(digest);
    expect(world.reasons).toEqual(['TagResolved']);
    world.takeOver();
    await world.settle();
    expect(world.questions).toHaveLength(1);
    expect(world.status.digest).toBe(digest);
  });

  it('survives a write that failed', async () => {
    const world = new AdapterWorld().tag();
    await world.settle();
    world.questions[0]?.answer.resolve(digest);
    await setImmediate();
    world.cluster.failures.push(new AdaptletError('KUBE_UNAVAILABLE', 'no answer'));
    await expect(world.run()).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' });
    expect(world.reasons).toEqual([]);
    await world.settle();
    expect(world.status.digest).toBe(digest);
    expect(world.questions).toHaveLength(1);
  });

  it('says why the registry does not give it', async () => {
    const world = new AdapterWorld().tag();
    await world.settle();
    world.questions[0]?.answer.reject(
      new AdaptletError('ARTIFACT_NOT_FOUND', 'sql:v1 is not in the registry'),
    );
    await setImmediate();
    await world.settle();
    expect(world.condition('Resolved')).toBe(
      'False ResolveFailed: ARTIFACT_NOT_FOUND: sql:v1 is not in the registry. Check the name and the tag, and that the artifact was pushed. Some registries say this of a repository that may not be read.',
    );
    expect(world.reasons).toEqual(['ResolveFailed']);
  });

  it('must be in the spec for a path', async () => {
    const world = new AdapterWorld().adapter({});
    await world.settle();
    expect(world.condition('Resolved')).toMatch(
      /^False DigestRequired: .*create a new Adapter with spec.digest set/,
    );
  });

  it('is another one for an object that was deleted and created again', async () => {
    const world = new AdapterWorld().tag();
    await world.settle();
    world.cluster.remove('Adapter', v1);
    await world.run();
    world.cluster.apply(
      anAdapter(
        { name: 'v1', uid: 'second' },
        { source: { oci: { image: 'registry.example/team-a/sql:v1' } } },
      ),
    );
    await world.settle();
    expect(world.questions).toHaveLength(2);
  });
});

describe('the finalizer of an Adapter', () => {
  it.each(['spec', 'stable', 'canary', 'history'] as const)(
    'is there while a rollout names it: %s',
    async (as) => {
      const world = new AdapterWorld().adapter().rollout(as);
      await world.settle();
      expect(world.finalizers).toEqual([inUseFinalizer]);
      expect(world.condition('InUse')).toBe(
        `True Referenced: AdapterRollout team-a/sql (${as === 'spec' ? 'spec.adapter' : as})`,
      );
      await world.rollout('other').settle();
      expect(world.finalizers).toEqual([]);
      expect(world.condition('InUse')).toMatch(/^False NotReferenced/);
    },
  );

  it('is not there for a status that is bound to a former object of the name', async () => {
    const world = new AdapterWorld().adapter().rollout('stable', 'sql', 'former');
    await world.settle();
    expect(world.finalizers).toEqual([]);
  });

  it('leaves those of others alone', async () => {
    const world = new AdapterWorld().adapter().rollout('spec');
    const object = world.cluster.adapters.get(v1)?.object;
    if (object !== undefined) world.cluster.apply(object, { finalizers: ['example.com/other'] });
    await world.settle();
    expect(world.finalizers).toEqual(['example.com/other', inUseFinalizer]);
    await world.rollout('other').settle();
    expect(world.finalizers).toEqual(['example.com/other']);
  });

  it('keeps an object that is deleted while in use, until nobody uses it', async () => {
    const world = new AdapterWorld().adapter().rollout('stable');
    await world.settle();
    await world.delete().settle();
    expect(world.finalizers).toEqual([inUseFinalizer]);
    expect(world.reasons.filter((reason) => reason === 'Kept')).toHaveLength(1);
    world.cluster.remove('AdapterRollout', world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' })));
    await world.settle();
    expect(world.finalizers).toEqual([]);
  });

  it('goes when the namespace does, which is looked at every thirty seconds', async () => {
    const world = new AdapterWorld().adapter().rollout('stable');
    await world.settle();
    world.delete();
    expect(await world.run()).toEqual({ requeueAfterMs: 30_000 });
    world.terminating.add('team-a');
    await world.run();
    expect(world.finalizers).toEqual([inUseFinalizer]);
    world.clock.advance(30_000);
    await world.run();
    expect(world.finalizers).toEqual([]);
  });

  it('is not added to an object that is being deleted', async () => {
    const world = new AdapterWorld().adapter().delete().rollout('spec');
    await world.settle();
    expect(world.cluster.writes.filter(({ finalizers }) => finalizers !== undefined)).toEqual([]);
  });

  it('stays while a rollout cannot be read', async () => {
    const world = new AdapterWorld().adapter().rollout('stable');
    await world.settle();
    const unreadable = [{ path: ['status'], reason: 'status.future: unknown' }];
    world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }), {}, unreadable);
    await world.settle();
    expect(world.finalizers).toEqual([inUseFinalizer]);
    world.takeOver();
    await world.settle();
    expect(world.finalizers).toEqual([inUseFinalizer]);
  });

  it('is tried again after a conflict, once the cache has moved on', async () => {
    const world = new AdapterWorld().adapter().rollout('spec');
    world.cluster.adapters.lags = true;
    world.cluster.apply(anAdapter({ name: 'v1' }, { digest }), { labels: { team: 'a' } });
    expect(await world.run()).toEqual({ requeueAfterMs: 1000 });
    world.cluster.adapters.catchUp();
    await world.run();
    expect(world.finalizers).toEqual([inUseFinalizer]);
  });
});

describe('the status of an Adapter', () => {
  it('says whether any runtime can hold it, with the sizes that runtimes report', async () => {
    const world = new AdapterWorld().adapter().rollout('stable');
    await world.settle();
    const nobody = 'no runtime has the base model tiny (0 runtimes, 0 with this model)';
    expect(world.condition('Schedulable')).toBe(`False NoRuntime: ${nobody}`);
    await world.join('a', 'b').settle();
    const both = '2 of 2 connected runtimes with the base model tiny can hold it';
    expect(world.condition('Schedulable')).toBe(`True Placeable: ${both}`);
    await world.state('a', 'Stored', { storedBytes: 2000 }).settle();
    expect(world.condition('Schedulable')).toMatch(/^False NoDisk: /);
  });

  it('does not wait for a runtime that is cordoned and does not have it', async () => {
    const world = new AdapterWorld().join('a', 'b').adapter().rollout('stable').state('a', 'Resident');
    await world.settle();
    expect(world.condition('Ready')).toContain('NotEverywhere');
    const key = runtimeKey('b');
    world.cluster.apply(aRuntimeObject(key, {}, aRuntimeStatus(true), { cordoned: true }));
    await world.settle();
    expect(world.status.runtimes.desired).toBe(1);
    expect(world.condition('Ready')).toContain('EverywhereReady');
    expect(world.condition('Schedulable')).toContain('1 of 2 connected runtimes');
  });

  it('counts the runtimes that should hold it, as the plan has it', async () => {
    const world = new AdapterWorld().join('a', 'b', 'c').adapter().rollout('stable');
    world
      .state('a', 'Resident', { storedBytes: 5000, rank: 8, targetModules: ['q_proj', 'v_proj', 'q_proj'] })
      .serves('a');
    await world.state('b', 'Stored').settle();
    expect(world.status).toMatchObject({
      runtimes: { desired: 3, stored: 2, resident: 1, serving: 1, failed: 0 },
      sizeBytes: 5000,
      rank: 8,
      targetModules: ['q_proj', 'v_proj'],
    });
    expect(world.condition('Ready')).toBe('False NotEverywhere: 1 of 3 runtimes have it; not edge/b, edge/c');
    expect(world.condition('Compatible')).toMatch(/^True Validated/);
    await world.state('b', 'Resident').state('c', 'Resident').settle();
    expect(world.condition('Ready')).toBe('True EverywhereReady: 3 of 3 runtimes have it');
  });

  it('is ready on demand when nothing asks for it and nothing failed', async () => {
    const world = new AdapterWorld().join('a').adapter();
    await world.settle();
    expect(world.condition('Ready')).toMatch(/^True OnDemand/);
    expect(world.condition('Compatible')).toMatch(/^Unknown NotTried/);
    await world.state('a', 'Failed', { reason: 'ADAPTER_SHAPE', message: 'q_proj', isFinal: true }).settle();
    expect(world.condition('Ready')).toBe('False Failed: edge/a: ADAPTER_SHAPE: q_proj');
    expect(world.condition('Compatible')).toMatch(/^False Refused/);
    expect(world.status.failures).toMatchObject([{ runtime: 'a', reason: 'ADAPTER_SHAPE' }]);
    expect(world.reasons).toContain('Failed');
  });

  it('is read by kstatus as done, on its way or stuck', async () => {
    const read = (world: AdapterWorld) => kstatusOf(1, world.status);
    const world = new AdapterWorld().adapter({ digest, preload: { tier: 'Disk' } });
    await world.settle();
    expect(read(world)).toBe('InProgress');
    await world.join('a').state('a', 'Remote').settle();
    expect(read(world)).toBe('InProgress');
    await world.state('a', 'Failed', { reason: 'ARTIFACT_UNAVAILABLE', isFinal: false }).settle();
    expect(read(world)).toBe('InProgress');
    await world.state('a', 'Failed', { reason: 'ADAPTER_SHAPE', isFinal: true }).settle();
    expect(read(world)).toBe('Failed');
    await world.state('a', 'Stored').settle();
    expect(read(world)).toBe('Current');
    const path = new AdapterWorld().adapter({});
    await path.settle();
    expect(path.condition('Resolved')).toMatch(/^False DigestRequired/);
    expect(read(path)).toBe('Failed');
  });

  it('is enough on disk where only the disk is asked for', async () => {
    const world = new AdapterWorld()
      .join('a')
      .adapter({ digest, preload: { tier: 'Disk' } })
      .state('a', 'Stored');
    await world.settle();
    expect(world.condition('Ready')).toMatch(/^True EverywhereReady/);
  });

  it('says that no runtime has the base model', async () => {
    const world = new AdapterWorld()
      .join('a')
      .adapter({ digest, baseModel: 'other', preload: { tier: 'Disk' } });
    await world.settle();
    expect(world.condition('Ready')).toBe(
      'False NoRuntime: no runtime with the base model other is connected',
    );
    expect(world.condition('Compatible')).toMatch(/^Unknown NoRuntime/);
  });

  it('names runtimes that have another build of the base model', async () => {
    const world = new AdapterWorld().join('a').adapter({ digest, baseModelDigests: [fakeDigest('b')] });
    const info = world.fleet.get(runtimeKey('a'))?.info;
    if (info !== undefined)
      world.fleet.report(runtimeKey('a'), { info: { ...info, baseDigest: fakeDigest('c') } });
    await world.settle();
    expect(world.condition('Compatible')).toMatch(/^False OtherBuild: .*edge\/a/);
  });

  it('does not count a rollout that lost its name, nor a runtime that has a former object', async () => {
    const world = new AdapterWorld().join('a').adapter().rollout('stable');
    world.cluster.apply(aRoute({ name: 'older', at: -5 }, { model: 'sql' }));
    await world.state('a', 'Resident', { uid: 'former' }).settle();
    expect(world.status.runtimes).toMatchObject({ desired: 0, resident: 0 });
  });

  it('loses its name to an older object and says to which', async () => {
    const world = new AdapterWorld().adapter();
    world.cluster.apply(aRoute({ name: 'older', at: -5 }, { model: 'v1' }));
    await world.settle();
    expect(world.condition('Accepted')).toMatch(/^False NameConflict: .*AdapterRoute team-a\/older/);
    expect(world.reasons).toContain('NameConflict');
  });

  it('is written once a second at most for counts, and at once for decisions', async () => {
    const world = new AdapterWorld().join('a', 'b', 'c').adapter().rollout('stable');
    await world.settle();
    world.clock.advance(1000);
    await world.state('a', 'Stored').run();
    const before = world.cluster.writes.length;
    await world.state('b', 'Stored').run();
    expect(world.cluster.writes).toHaveLength(before);
    world.clock.advance(1000);
    await world.run();
    expect(world.cluster.writes).toHaveLength(before + 1);
    for (const name of ['a', 'b', 'c']) world.state(name, 'Resident');
    await world.run();
    expect(world.cluster.writes).toHaveLength(before + 2);
  });

  it('is not written when nothing is different, nor by a new leader that has heard nothing', async () => {
    const world = new AdapterWorld().join('a', 'b').adapter().rollout('stable').state('a', 'Resident');
    await world.state('b', 'Failed', { reason: 'STORE_FULL' }).settle();
    const before = world.cluster.writes.length;
    for (const name of ['a', 'b']) world.fleet.forget(runtimeKey(name));
    world.takeOver();
    await world.settle();
    expect(world.cluster.writes).toHaveLength(before);
    world.clock.advance(30_000);
    await world.settle();
    expect(world.status.runtimes).toMatchObject({ desired: 0, resident: 0, failed: 0 });
  });

  it('tells what is wrong with the spec without touching the rest, once', async () => {
    const world = new AdapterWorld().adapter();
    const problems = [{ path: ['spec', 'validation'], reason: 'spec.validation: bad regex' }];
    world.cluster.apply(anAdapter({ name: 'v1' }), {}, problems);
    await world.run();
    await world.run();
    expect(world.cluster.writes).toHaveLength(1);
    expect(world.cluster.writes[0]?.status).toMatchObject({
      conditions: [
        { type: 'Accepted', reason: 'InvalidSpec' },
        { type: 'Ready', status: 'False' },
        { type: 'Stalled', status: 'True' },
      ],
    });
    expect(world.cluster.writes[0]?.status).not.toHaveProperty('digest');
    expect(world.reasons).toEqual(['InvalidSpec']);
  });

  it('does not write over a status that it cannot read', async () => {
    const world = new AdapterWorld();
    world.cluster.apply(anAdapter({ name: 'v1' }), {}, [
      { path: ['status', 'future'], reason: 'unknown field' },
    ]);
    await world.run();
    await world.run();
    expect(world.cluster.writes).toEqual([]);
    expect(world.reasons).toEqual(['InvalidSpec']);
  });
});

describe('what wants an Adapter', () => {
  const follow = (world: AdapterWorld): { wanted: string[]; stop: () => void } => {
    const wanted: string[] = [];
    const stop = world.controller.follow((key, afterMs) => void wanted.push(`${key} ${afterMs}`));
    wanted.length = 0;
    return { wanted, stop };
  };

  it('is a rollout that comes to name it or no longer does', () => {
    const world = new AdapterWorld().adapter();
    const { wanted } = follow(world);
    world.rollout('spec').rollout('other');
    expect(wanted).toEqual([`${v1} 0`, `${v1} 0`]);
  });

  it('is the registry, a report about it, and its own change', async () => {
    const world = new AdapterWorld().join('a').tag();
    await world.settle();
    const { wanted } = follow(world);
    world.questions[0]?.answer.resolve(digest);
    await setImmediate();
    world.state('a', 'Stored');
    world.adapter();
    expect(wanted).toEqual([`${v1} 0`, `${v1} 1000`, `${v1} 0`]);
  });

  it('is not a report about an Adapter that there is not', () => {
    const world = new AdapterWorld().join('a');
    const { wanted } = follow(world);
    world.state('a', 'Stored');
    expect(wanted).toEqual([]);
  });

  it('is a base model that comes, after a burst of connections was gathered', () => {
    const world = new AdapterWorld().adapter();
    const { wanted, stop } = follow(world);
    world.clock.advance(500);
    world.join('a', 'b', 'c');
    expect(wanted).toEqual([]);
    world.clock.advance(500);
    expect(wanted).toEqual([`${v1} 1500`]);
    stop();
    world.join('d');
    world.clock.advance(5000);
    expect(wanted).toHaveLength(1);
  });
});
