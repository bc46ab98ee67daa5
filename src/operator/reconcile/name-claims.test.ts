import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { anAdapter, aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { nameConflicts } from '../../plan/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { aRuntimeObject, aRuntimeStatus, FakeFleet, runtimeKey } from '../testing/fake-fleet.ts';
import { partsOf } from '../testing/parts-of.ts';

const start = () => {
  const cluster = new FakeCluster();
  const { claims } = partsOf({ cluster, fleet: new FakeFleet(), clock: new FakeClock() });
  return { cluster, claims };
};

const name = fc.constantFrom('sql', 'tiny', 'a', 'b');
const object: fc.Arbitrary<Manifest> = fc.oneof(
  fc.record({ name, at: fc.nat(5) }).map((identity): Manifest => anAdapter(identity)),
  fc.record({ name, at: fc.nat(5) }).map((identity): Manifest => aRollout(identity, { adapter: 'x' })),
  fc
    .record({ name, at: fc.nat(5), model: name })
    .map(({ model, ...identity }): Manifest => aRoute(identity, { model })),
);

describe('claims of names', () => {
  it('are what the plan compiler makes of the same objects, whatever came in whatever order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(object, fc.boolean()), { maxLength: 20 }),
        fc.boolean(),
        (changes, hasRuntime) => {
          const { cluster, claims } = start();
          if (hasRuntime) cluster.apply(aRuntimeObject(runtimeKey('n'), {}, aRuntimeStatus(true)));
          const present = new Map<string, Manifest>();
          for (const [one, stays] of changes) {
            const identity = `${one.kind} ${keyOf(one)}`;
            const key = cluster.apply(one);
            present.set(identity, one);
            if (stays) continue;
            cluster.remove(one.kind, key);
            present.delete(identity);
          }
          const objects = [...present.values()];
          const expected = nameConflicts(objects, hasRuntime ? 'tiny' : '');
          for (const one of objects) {
            expect(claims.conflictOf(one)).toBe(expected.find((conflict) => conflict.object === one)?.reason);
          }
        },
      ),
    );
  });

  it('tell of the others that a change gives a name to or takes it from', () => {
    const { cluster, claims } = start();
    const told: string[] = [];
    claims.onChange((kind, key) => void told.push(`${kind} ${key}`));
    const key = cluster.apply(anAdapter({ name: 'sql', at: 0 }));
    cluster.apply(aRollout({ name: 'sql', at: 1 }, { adapter: 'x' }));
    expect(told.splice(0)).toEqual(['Adapter team-a/sql']);
    cluster.apply(aRollout({ name: 'sql', at: 1 }, { adapter: 'y' }));
    expect(told.splice(0)).toEqual([]);
    cluster.remove('Adapter', key);
    expect(told.splice(0)).toEqual(['AdapterRollout team-a/sql']);
    cluster.apply(
      aRuntimeObject(runtimeKey('n'), {}, { ...aRuntimeStatus(true), baseModel: { name: 'sql' } }),
    );
    expect(told).toEqual(['AdapterRollout team-a/sql']);
  });

  it('lose the name of the base model of a pod in its namespace only', () => {
    const { cluster, claims } = start();
    const told: string[] = [];
    claims.onChange((kind, key) => void told.push(`${kind} ${key}`));
    const [here, there] = ['team-a', 'team-b'].map((namespace) => anAdapter({ name: 'sql', namespace }));
    for (const one of [here, there]) if (one !== undefined) cluster.apply(one);
    const status = { ...aRuntimeStatus(true), kind: 'Pod' as const, baseModel: { name: 'sql' } };
    cluster.apply(aRuntimeObject(objectKey('team-b', 'pod'), {}, status));
    expect(here && claims.conflictOf(here)).toBeUndefined();
    expect(there && claims.conflictOf(there)).toMatch('reserved for the base model');
    expect(told).toEqual(['Adapter team-b/sql']);
  });
});
