import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../api/objects.ts';
import { anAdapter, aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { nameConflicts } from '../../plan/names.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { modelMaps, modelNames } from './models.ts';

const cluster = (...objects: Parameters<FakeCluster['apply']>[0][]): FakeCluster => {
  const fake = new FakeCluster();
  for (const object of objects) fake.apply(object);
  return fake;
};
/** The oldest object that wants a name has it. */
const claimsOf = ({ adapters, rollouts, routes }: FakeCluster) => {
  const all = (): Manifest[] =>
    [adapters, rollouts, routes].flatMap((one) => [...one.list()].flatMap(({ object }) => object ?? []));
  return {
    conflictOf: (object: Manifest) => nameConflicts(all(), '').find((one) => one.object === object)?.reason,
  };
};
const named = (...objects: Parameters<FakeCluster['apply']>[0][]) => {
  const fake = cluster(...objects);
  return Object.fromEntries(modelNames(fake, claimsOf(fake)));
};

describe('names of a base model', () => {
  it('are those of Adapters, rollouts and routes, with their namespace and plain', () => {
    const rules = [{ name: 'all', targets: [{ rollout: 'sql' }], fallback: [{ adapter: 'v1' }] }];
    expect(
      named(
        anAdapter({ name: 'v1' }),
        aRollout({ name: 'sql' }, { adapter: 'v1' }),
        aRoute({ name: 'assistant' }, { model: 'helper', rules: rules as never }),
      ),
    ).toEqual({ tiny: ['helper', 'sql', 'team-a/helper', 'team-a/sql', 'team-a/v1', 'v1'] });
  });

  it('are not plain where two namespaces have them, nor where a base model is called so', () => {
    expect(
      named(
        anAdapter({ name: 'sql' }),
        anAdapter({ name: 'sql', namespace: 'team-b' }, { baseModel: 'large' }),
        anAdapter({ name: 'tiny', namespace: 'team-b' }, { baseModel: 'large' }),
      ),
    ).toEqual({ tiny: ['team-a/sql'], large: ['team-b/sql', 'team-b/tiny'] });
  });

  it('leave out what leads to several base models, or to none that is known', () => {
    const both = [{ name: 'all', targets: [{ adapter: 'a' }, { adapter: 'b' }] }];
    expect(
      named(
        anAdapter({ name: 'a' }),
        anAdapter({ name: 'b' }, { baseModel: 'large' }),
        aRollout({ name: 'later' }, { adapter: 'nobody' }),
        aRoute({ name: 'both' }, { rules: both as never }),
        aRoute({ name: 'base-only' }),
      ),
    ).toEqual({ tiny: ['a', 'team-a/a'], large: ['b', 'team-a/b'] });
  });

  it('belong to the oldest object that wants them, as at the runtimes', () => {
    const targets = [{ adapter: 'big' }];
    expect(
      named(
        anAdapter({ name: 'sql' }),
        anAdapter({ name: 'big' }, { baseModel: 'large' }),
        aRoute({ name: 'late', at: 9 }, { model: 'sql', rules: [{ name: 'all', targets }] as never }),
      ),
    ).toEqual({ tiny: ['sql', 'team-a/sql'], large: ['big', 'team-a/big'] });
  });

  it('of an object that is being deleted, or is not valid, are none', () => {
    const fake = new FakeCluster();
    fake.apply(anAdapter({ name: 'going' }), { deletionTimestamp: '2026-01-01T00:00:00Z' });
    fake.apply(anAdapter({ name: 'bad' }), {}, [{ path: ['spec'], reason: 'spec: no' }]);
    expect(modelNames(fake, claimsOf(fake)).size).toBe(0);
  });
});

describe('ConfigMaps of names', () => {
  it('have a base model and a list that YAML reads as texts', () => {
    const [map] = [...modelMaps(new Map([['tiny', ['123', 'team-a/sql', 'true']]])).values()];
    expect(map).toEqual({ baseModel: 'tiny', adapters: '- "123"\n- "team-a/sql"\n- "true"\n' });
  });

  it('are several for a base model with more names than one holds, and lose none', () => {
    const names = Array.from({ length: 100 }, (_, i) => `name-${i}`);
    const maps = modelMaps(
      new Map([
        ['tiny', names],
        ['large', ['x']],
      ]),
      200,
    );
    const lists = [...maps.values()]
      .filter(({ baseModel }) => baseModel === 'tiny')
      .map(({ adapters }) => adapters);
    expect(lists.length).toBeGreaterThan(5);
    expect(Math.max(...lists.map((list) => list.length))).toBeLessThanOrEqual(200);
    expect(lists.join('').match(/name-\d+/g)).toEqual(names);
    expect(new Set([...maps.keys()].map((name) => name.replace(/-\d+$/, ''))).size).toBe(2);
    for (const name of maps.keys()) expect(name).toMatch(/^[a-z0-9-]{1,63}$/);
  });
});
