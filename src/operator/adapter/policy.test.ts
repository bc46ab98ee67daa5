import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { AdapterWorld, digest, v1 } from './world.fixture.ts';

const notHere = { sources: { registries: ['registry.example/team-b'] } };
const here = { sources: { registries: ['registry.example/team-a'] } };
const problem = [{ path: ['spec'], reason: 'spec: must be a map of fields' }];

describe('an Adapter that the policy of its namespace does not allow', () => {
  it('is not accepted, with the code, the policy and what is allowed, and no registry is asked', async () => {
    const world = new AdapterWorld().join('edge-1').tag();
    world.cluster.apply(aPolicy('team-a', notHere));
    await world.settle();
    expect(world.condition('Accepted')).toBe(
      'False SourceNotAllowed: SOURCE_NOT_ALLOWED: spec.source: registry.example/team-a/sql:v1 is not below what the policy team-a/default allows in spec.sources.registries: registry.example/team-b',
    );
    expect(world.condition('Resolved')).toContain('Unknown NotAsked');
    expect(world.condition('Ready')).toContain('False SourceNotAllowed');
    expect(world.questions).toEqual([]);
    expect(world.reasons).toEqual(['SourceNotAllowed']);
  });

  it('is wanted nowhere, whatever preloads it or names it', async () => {
    const world = new AdapterWorld().join('edge-1').adapter({ digest, preload: { tier: 'Memory' } });
    world.rollout('spec');
    await world.settle();
    expect(world.status.runtimes.desired).toBe(1);
    world.cluster.apply(aPolicy('team-a', { sources: { paths: [] } }));
    await world.settle();
    expect(world.status.runtimes.desired).toBe(0);
    expect(world.status.digest).toBe(digest);
  });

  it('is told of again when the policy changes', async () => {
    const world = new AdapterWorld().join('edge-1').tag();
    world.cluster.apply(aPolicy('adaptlet-system', notHere));
    await world.settle();
    const woken: string[] = [];
    const stop = world.controller.follow((key) => woken.push(key));
    woken.length = 0;
    world.cluster.apply(aPolicy('adaptlet-system', here));
    expect(woken).toContain(v1);
    stop();
    await world.settle();
    expect(world.condition('Accepted')).toContain('True Accepted');
    expect(world.questions).toHaveLength(1);
  });

  it('stops to ask a registry that is not allowed any more', async () => {
    const world = new AdapterWorld().join('edge-1').tag();
    await world.run();
    expect(world.questions).toHaveLength(1);
    world.cluster.apply(aPolicy('team-a', notHere));
    await world.settle();
    world.questions[0]?.answer.resolve(digest);
    await world.settle();
    expect(world.status.digest).toBeUndefined();
  });
});

describe('more Adapters than the policy lets count', () => {
  const limited = () => {
    const world = new AdapterWorld().join('edge-1');
    world.cluster.apply(aPolicy('team-a', { limits: { adapters: 1 } }));
    world.cluster.apply(anAdapter({ name: 'old', at: -10 }, { digest }));
    return world.adapter();
  };

  it('are told their place and the limit', async () => {
    const world = limited();
    await world.settle();
    expect(world.condition('Accepted')).toBe(
      'False TooManyAdapters: ADAPTERS_LIMIT: by age it is number 2 of its namespace, and the policy team-a/default lets the oldest 1 count',
    );
    expect(world.reasons).toEqual(['TooManyAdapters']);
  });

  it('move up when an older one goes', async () => {
    const world = limited();
    await world.settle();
    const woken: string[] = [];
    world.controller.follow((key) => woken.push(key));
    woken.length = 0;
    world.cluster.remove('Adapter', objectKey('team-a', 'old'));
    expect(woken).toContain(v1);
    await world.settle();
    expect(world.condition('Accepted')).toContain('True Accepted');
  });
});

describe('an Adapter whose policy was never valid', () => {
  it('keeps what it has, and begins nothing new', async () => {
    const world = new AdapterWorld().join('edge-1').tag();
    world.cluster.apply(aPolicy('team-a'), {}, problem);
    await world.settle();
    expect(world.condition('Accepted')).toContain('Unknown PolicyInvalid: the AdapterPolicy team-a/default');
    expect(world.questions).toEqual([]);
    world.cluster.apply(aPolicy('team-a'));
    await world.settle();
    expect(world.questions).toHaveLength(1);
  });
});
