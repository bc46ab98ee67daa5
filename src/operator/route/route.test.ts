import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../../api/classifier.ts';
import { kstatusOf } from '../../api/kstatus.fixture.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import type { RouteSpec } from '../../api/route.ts';
import { anAdapter, aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { key, RouteWorld } from './world.fixture.ts';

const toRollout = (rollout: string): Partial<RouteSpec> => ({
  rules: [{ name: 'all', matches: [], hashOn: 'User', targets: [{ rollout, weight: 1 }], fallback: [] }],
});

describe('the route controller', () => {
  it('says how many runtimes route by it', async () => {
    const world = new RouteWorld().join('a', 'b').route().acknowledge('a');
    await world.run();
    expect(world.status.runtimes).toEqual({ desired: 2, programmed: 1 });
    expect(world.verdicts).toEqual([
      'Accepted=True Accepted',
      'ResolvedRefs=True Resolved',
      'Programmed=False Pending',
      'Ready=False Pending',
      'Reconciling=True Pending',
    ]);
    await world.acknowledge('b').run();
    expect(world.verdicts.slice(2)).toEqual(['Programmed=True Programmed', 'Ready=True Programmed']);
  });

  it('is not put back by its own writes', async () => {
    const world = new RouteWorld().join('a').route().acknowledge('a');
    for (let turn = 0; turn < 5; turn++) await world.run();
    expect(world.verdicts[2]).toBe('Programmed=True Programmed');
    expect(world.cluster.writes).toHaveLength(1);
    world.elect();
    await world.run();
    expect(world.cluster.writes).toHaveLength(1);
  });

  it('asks for another answer when the spec changes', async () => {
    const world = new RouteWorld().join('a').route().acknowledge('a');
    await world.run();
    await world.route({ model: 'helper' }, 2).run();
    expect(world.status).toMatchObject({ observedGeneration: 2, runtimes: { programmed: 0 } });
    await world.acknowledge('a').run();
    expect(world.status.runtimes).toEqual({ desired: 1, programmed: 1 });
  });

  it('quotes a runtime that refuses it', async () => {
    const world = new RouteWorld().join('a', 'b').route().acknowledge('a', 'b');
    world.fleet.report(runtimeKey('b'), { refused: new Map([[`Route ${key}`, 'too many rules']]) });
    await world.run();
    expect(world.status.conditions[2]).toMatchObject({
      reason: 'Refused',
      message: '1 of 2 connected runtimes route by it; edge/b refuses it: too many rules',
    });
    expect(world.cluster.events.map(({ reason }) => reason)).toEqual(['Refused']);
    expect(kstatusOf(1, world.status)).toBe('Failed');
  });

  it('names targets that do not exist, with what may be meant', async () => {
    const world = new RouteWorld().join('a').route(toRollout('sqll'));
    world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    await world.run();
    expect(world.status.unresolved).toEqual([
      'spec.rules[0]: there is no AdapterRollout sqll in namespace team-a, did you mean sql',
    ]);
    expect(world.verdicts[1]).toBe('ResolvedRefs=False TargetMissing');
    expect(kstatusOf(1, world.status)).toBe('InProgress');
    await world.route(toRollout('sql'), 2).run();
    expect(world.verdicts[1]).toBe('ResolvedRefs=True Resolved');
    expect(world.status.unresolved).toEqual([]);
  });

  it('warns of a rule that answers nobody', async () => {
    const spec = toRollout('sql');
    const rules = spec.rules?.map((rule) => ({ ...rule, targets: [{ rollout: 'sql', weight: 0 }] })) ?? [];
    const world = new RouteWorld().route({ rules });
    world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    await world.run();
    expect(world.verdicts).toEqual([
      'Accepted=True Accepted',
      'ResolvedRefs=True ResolvedWithWarnings',
      'Programmed=False NoRuntime',
      'Ready=False NoRuntime',
      'Reconciling=True NoRuntime',
    ]);
  });

  it('is not accepted while an older object has its name, and says which', async () => {
    const world = new RouteWorld().join('a').route().acknowledge('a');
    world.cluster.apply(anAdapter({ name: 'assistant', at: -5 }));
    await world.run();
    expect(world.status.conditions[0]).toMatchObject({
      reason: 'NameConflict',
      message: 'spec.model: the name assistant belongs to the older Adapter team-a/assistant: choose another',
    });
    expect(world.verdicts[2]).toBe('Programmed=False NotAccepted');
    expect(kstatusOf(1, world.status)).toBe('Failed');
  });

  it('is not accepted with the name of a base model', async () => {
    const world = new RouteWorld().join('a').route({ model: 'tiny' });
    await world.run();
    expect(world.verdicts[0]).toBe('Accepted=False NameConflict');
  });

  it('says which fields are wrong, once', async () => {
    const world = new RouteWorld().join('a');
    world.cluster.apply(aRoute({ name: 'assistant' }), {}, [
      { path: ['spec', 'rules'], reason: 'spec.rules: bad' },
    ]);
    for (let turn = 0; turn < 3; turn++) await world.run();
    expect(world.cluster.writes).toHaveLength(1);
    expect(world.cluster.writes[0]?.status).toMatchObject({
      conditions: [
        { reason: 'InvalidSpec', message: 'spec.rules: bad' },
        { reason: 'NotChecked' },
        { reason: 'NotAccepted' },
        { type: 'Ready', status: 'False', reason: 'InvalidSpec' },
        { type: 'Stalled', status: 'True', reason: 'InvalidSpec' },
      ],
    });
    expect(world.cluster.events.map(({ reason }) => reason)).toEqual(['InvalidSpec']);
  });

  it('says which runtime lacks an artifact of its classifier, and is ready once all have it', async () => {
    const digest = fakeDigest('c');
    const onnx = { source: { oci: { image: 'r.io/team-a/intent:v1' } }, digest };
    const classifiers = [classifierSchema.parse({ name: 'intent', minConfidence: 0.5, onnx })];
    const world = new RouteWorld().join('a', 'b').route({ classifiers }).acknowledge('a', 'b');
    const tell = (name: string, state: string, message = ''): void =>
      world.fleet.report(runtimeKey(name), {
        classifiers: new Map([[key, [{ name: 'intent', digest, state, message }]]]),
      });
    // Of an earlier version.
    await world.run();
    expect(world.verdicts.slice(2)).toEqual([
      'Programmed=True Programmed',
      'ClassifiersReady=Unknown NotTold',
      'Ready=True Programmed',
    ]);
    const wanted: string[] = [];
    const stop = world.controller.follow((which, afterMs) => void wanted.push(`${which} ${afterMs}`));
    wanted.length = 0;
    tell('a', 'Ready');
    tell('b', 'Failed', 'its artifact is not here: DIGEST_MISMATCH: no');
    stop();
    expect(wanted).toEqual([`${key} 500`, `${key} 500`]);
    await world.run();
    expect(world.verdicts.slice(3)).toEqual([
      'ClassifiersReady=False ClassifierFailed',
      'Ready=False ClassifierFailed',
      'Reconciling=True ClassifierFailed',
    ]);
    expect(world.status.conditions[3]?.message).toBe(
      `classifier intent (${digest}) is not ready on 1 of 2 runtimes; edge/b: its artifact is not here: DIGEST_MISMATCH: no`,
    );
    expect(world.cluster.events.map(({ reason }) => reason)).toEqual(['ClassifierFailed']);
    tell('b', 'Ready');
    await world.run();
    expect(world.verdicts.slice(3)).toEqual([
      'ClassifiersReady=True ClassifiersReady',
      'Ready=True Programmed',
    ]);
    // A new leader has no reports yet.
    world.fleet.forget(runtimeKey('b'));
    world.elect();
    await world.run();
    expect(world.verdicts[3]).toBe('ClassifiersReady=True ClassifiersReady');
  });

  it('keeps what is written while a new leader waits for reports', async () => {
    const world = new RouteWorld().join('a', 'b').route().acknowledge('a', 'b');
    await world.run();
    world.fleet.forget(runtimeKey('b'));
    world.elect();
    await world.run();
    expect(world.status.runtimes).toEqual({ desired: 2, programmed: 2 });
    world.clock.advance(30_000);
    await world.run();
    expect(world.status.runtimes).toEqual({ desired: 1, programmed: 1 });
  });

  it('writes once a second at most', async () => {
    const world = new RouteWorld().join('a', 'b').route();
    await world.run();
    world.acknowledge('a');
    const result = await world.controller.reconcile(key, new AbortController().signal);
    expect(result).toEqual({ requeueAfterMs: 1000 });
    expect(world.cluster.writes).toHaveLength(1);
  });

  it('is wanted again when what it may name comes or goes', () => {
    const world = new RouteWorld().route();
    const wanted: string[] = [];
    const stop = world.controller.follow((which, afterMs) => void wanted.push(`${which} ${afterMs}`));
    world.cluster.apply(anAdapter({ name: 'v1' }));
    world.cluster.apply(anAdapter({ name: 'v1', namespace: 'other' }));
    world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    world.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    stop();
    expect(wanted).toEqual([`${key} 0`, `${key} 500`, `${key} 500`]);
  });

  it('is not wanted again by answers once it is in force, but when a runtime refuses it', async () => {
    const world = new RouteWorld().join('a', 'b').route();
    const wanted: string[] = [];
    const stop = world.controller.follow((which) => void wanted.push(which));
    const wantedBy = (act: () => unknown): number => {
      wanted.length = 0;
      act();
      world.clock.advance(500);
      return wanted.length;
    };
    await world.run();
    expect(wantedBy(() => world.acknowledge('a'))).toBe(1);
    world.acknowledge('b');
    await world.run();
    expect(world.verdicts[2]).toBe('Programmed=True Programmed');
    expect(wantedBy(() => world.acknowledge('a', 'b'))).toBe(0);
    const refuse = (route: string) => () =>
      world.fleet.report(runtimeKey('b'), { refused: new Map([[`Route ${route}`, 'no']]) });
    expect(wantedBy(refuse('team-a/other'))).toBe(0);
    expect(wantedBy(refuse(key))).toBe(1);
    expect(wantedBy(() => world.fleet.report(runtimeKey('a'), { connected: false }))).toBe(1);
    stop();
  });

  it('counts the runtime of a pod for routes of its namespace only', async () => {
    const world = new RouteWorld().join('a').route().acknowledge('a');
    for (const namespace of ['team-a', 'team-b']) {
      const pod = objectKey(namespace, 'pod');
      world.cluster.apply(aRuntimeObject(pod, {}, { ...aRuntimeStatus(true), kind: 'Pod' }));
      world.fleet.report(pod, { kind: 'Pod', refused: new Map([[`Route ${key}`, 'no']]) });
      await world.run();
      expect(world.status.runtimes).toEqual({ desired: 2, programmed: 1 });
    }
  });
});
