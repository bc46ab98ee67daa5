import { describe, expect, it } from 'vitest';
import { anAdapter, aRollout } from '../../plan/manifests.fixture.ts';
import { GroupWorld } from '../../rollout/groups/fleet.fixture.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { rewritesOf } from './rewrites.ts';

const nodes = ['a', 'b', 'c', 'd', 'e'];
const halves = [{ setWeight: 50 }, { pause: {} }];
const inGroups = (steps = halves) =>
  new GroupWorld(
    [
      { name: 'lab', selector: { matchLabels: { site: 'lab' } } },
      { name: 'tenth', limit: { count: 1 } },
    ],
    steps,
  )
    .joinWith({ site: 'lab' }, 'lab')
    .join(...nodes)
    .begin();

/** The rewrite of the rollout as its status is now. */
const rewriteOf = ({ status }: GroupWorld) => {
  const cluster = new FakeCluster();
  for (const name of ['v1', 'v2']) cluster.apply(anAdapter({ name }));
  const rollout = aRollout({ name: 'sql' }, { adapter: 'v2' }, status);
  cluster.apply(rollout, { annotations: { 'adaptlet.io/gateway-rewrite': 'true' } });
  const rewrites = rewritesOf(cluster, new Map(), { tiny: 'edge-pool' }, { conflictOf: () => undefined });
  return [...rewrites.byName.values()][0] ?? expect.fail('there is none');
};
/** Percent by the name of the Adapter. */
const sharesOf = (world: GroupWorld) =>
  Object.fromEntries(
    rewriteOf(world).spec.rules.flatMap(({ targets }) =>
      targets.map(({ modelRewrite, weight }) => [modelRewrite.replace('team-a/', ''), weight]),
    ),
  );
const leastOf = (world: GroupWorld): number =>
  Math.min(...[...world.nodes.keys()].map((name) => world.given(name).weight));

describe('the rewrite of a rollout in groups', () => {
  it('gives stable everything until the last group has begun, and then what that group does', () => {
    const fleet = inGroups().settle();
    expect(fleet.phases).toEqual(['lab Progressing 50', 'tenth Pending 0', 'rest Pending 0']);
    expect(sharesOf(fleet)).toEqual({ v1: 100 });
    fleet.decide({ verb: 'promote' });
    fleet.follow();
    // The whole of the first group has it, and it is not stable yet anywhere.
    expect(fleet.status?.weights.canary).toBe(100);
    expect(sharesOf(fleet)).toEqual({ v1: 100 });
    expect(rewriteOf(fleet).note).toContain('groups');
    fleet.settle();
    expect(fleet.phases).toEqual(['lab Succeeded 100', 'tenth Progressing 50', 'rest Pending 0']);
    expect(sharesOf(fleet)).toEqual({ v1: 100 });
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.phases).toEqual(['lab Succeeded 100', 'tenth Succeeded 100', 'rest Progressing 50']);
    expect(sharesOf(fleet)).toEqual({ v1: 50, v2: 50 });
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.status?.groups).toBeUndefined();
    expect(sharesOf(fleet)).toEqual({ v2: 100 });
    expect(rewriteOf(fleet).note).not.toContain('groups');
  });

  it('never gives the canary more than the runtime that is given least of it', () => {
    const fleet = inGroups([{ setWeight: 20 }, { pause: { duration: '1m' } }, { setWeight: 60 }] as never);
    for (let turn = 0; turn < 40; turn += 1) {
      expect(sharesOf(fleet)['v2'] ?? 0).toBeLessThanOrEqual(leastOf(fleet));
      fleet.decide({ elapsedMs: 40_000 });
      fleet.follow();
      if (fleet.status?.stable?.adapter === 'v2') return;
      expect(sharesOf(fleet)['v2'] ?? 0).toBeLessThanOrEqual(leastOf(fleet));
    }
    expect.fail(`it does not end: ${fleet.phases.join()}`);
  });

  it('does not wait for a group in which nobody is', () => {
    const fleet = new GroupWorld([{ name: 'lab', selector: { matchLabels: { site: 'lab' } } }], halves);
    fleet
      .join(...nodes)
      .begin()
      .settle();
    expect(fleet.phases).toEqual(['lab Succeeded 0', 'rest Progressing 50']);
    expect(sharesOf(fleet)).toEqual({ v1: 50, v2: 50 });
  });

  it('gives stable everything once the canary was given up', () => {
    const fleet = inGroups().settle();
    fleet.decide({ verb: 'abort' });
    expect(sharesOf(fleet)).toEqual({ v1: 100 });
  });
});

describe('a rollout of some runtimes alone', () => {
  it('has no rewrite, as a gateway may choose a runtime that it leaves out, and has one when it is for all', () => {
    const cluster = new FakeCluster();
    for (const name of ['v1', 'v2']) cluster.apply(anAdapter({ name }));
    const { status } = inGroups();
    const rewritesWith = (matchLabels: Readonly<Record<string, string>>) => {
      cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v2', runtimeSelector: { matchLabels } }, status), {
        annotations: { 'adaptlet.io/gateway-rewrite': 'true' },
      });
      return rewritesOf(cluster, new Map(), { tiny: 'edge-pool' }, { conflictOf: () => undefined });
    };
    const some = rewritesWith({ site: 'lab' });
    expect(some).toMatchObject({ selective: ['team-a/sql'] });
    expect(some.byName.size).toBe(0);
    const all = rewritesWith({});
    expect(all.selective).toEqual([]);
    expect(all.byName.size).toBe(1);
  });
});
