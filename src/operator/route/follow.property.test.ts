import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { aRoute } from '../../plan/manifests.fixture.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { RouteWorld } from './world.fixture.ts';

const names = ['one', 'two'] as const;
const keyOf = (name: string) => objectKey('team-a', name);
const runtime = fc.constantFrom('a', 'b', 'team-a/p');
const happening = fc.oneof(
  fc.record({ do: fc.constant('join' as const), runtime }),
  fc.record({ do: fc.constant('leave' as const), runtime }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), runtime }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('refuse' as const), runtime, refused: fc.subarray([...names]) }),
  },
  fc.record({ do: fc.constant('spec' as const), name: fc.constantFrom(...names) }),
  fc.record({ do: fc.constant('hold' as const), runtime, held: fc.boolean() }),
  { weight: 3, arbitrary: fc.constant({ do: 'work' as const }) },
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

/** Routes, runtimes, and a controller that looks only at what it wants to look at. */
class World extends RouteWorld {
  /** Those that are wanted. */
  readonly #wanted = new Set<string>();
  readonly #generations = new Map<string, number>();

  constructor() {
    super();
    this.controller.follow((key) => void this.#wanted.add(key));
    for (const name of names) this.#spec(name);
  }

  async happen(what: Happening): Promise<void> {
    switch (what.do) {
      case 'join':
        this.cluster.apply(this.#object(what.runtime, false));
        if (this.fleet.get(runtimeKey(what.runtime))?.connected === true) return;
        return this.fleet.report(runtimeKey(what.runtime), {
          connected: true,
          kind: kindOf(what.runtime),
          acknowledged: noRevision,
        });
      case 'leave':
        if (this.fleet.get(runtimeKey(what.runtime)) === undefined) return;
        return this.fleet.report(runtimeKey(what.runtime), { connected: false });
      case 'answer': {
        if (this.fleet.get(runtimeKey(what.runtime))?.connected !== true) return;
        const versions = names.map((name) => BigInt(this.read(name)?.resourceVersion ?? '0'));
        const routes = versions.reduce((newest, one) => (one > newest ? one : newest), 0n);
        return this.fleet.report(runtimeKey(what.runtime), { acknowledged: { ...noRevision, routes } });
      }
      case 'refuse': {
        if (this.fleet.get(runtimeKey(what.runtime))?.connected !== true) return;
        const refused = new Map(what.refused.map((name) => [`Route ${keyOf(name)}`, 'no'] as const));
        return this.fleet.report(runtimeKey(what.runtime), { refused });
      }
      case 'spec':
        return this.#spec(what.name);
      case 'hold':
        return void this.cluster.apply(this.#object(what.runtime, what.held));
      case 'work':
        return this.work();
    }
  }

  /** Until nothing is wanted. */
  async work(): Promise<void> {
    do {
      // Runtimes that come and go are gathered.
      this.clock.advance(1000);
      const keys = [...this.#wanted];
      this.#wanted.clear();
      for (const key of keys) {
        const { requeueAfterMs } = await this.look(key);
        if (requeueAfterMs !== undefined) this.#wanted.add(key);
      }
    } while (this.#wanted.size > 0);
  }

  look(key: string) {
    return this.controller.reconcile(key as ReturnType<typeof keyOf>, new AbortController().signal);
  }

  read(name: string) {
    return this.cluster.routes.server.get(keyOf(name));
  }

  #object(name: string, held: boolean) {
    const status = { ...aRuntimeStatus(true), kind: kindOf(name) };
    return aRuntimeObject(runtimeKey(name), {}, status, held ? { held } : {});
  }

  #spec(name: string): void {
    const generation = (this.#generations.get(name) ?? 0) + 1;
    this.#generations.set(name, generation);
    const { metadata, ...rest } = aRoute({ name }, { model: `${name}-${generation}` });
    const status = this.read(name)?.object?.status;
    this.cluster.apply(
      { ...rest, metadata: { ...metadata, generation }, ...(status && { status }) },
      { generation },
    );
  }
}

const kindOf = (name: string) => (name.includes('/') ? ('Pod' as const) : ('Node' as const));

it('a route is as a look at all of them would write it, whatever runtimes said and whenever it was looked at', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 30, size: 'max' }), async (happenings) => {
      const world = new World();
      for (const what of happenings) await world.happen(what);
      await world.work();
      const { length } = world.cluster.writes;
      for (const name of names) {
        world.clock.advance(1000);
        await world.look(keyOf(name));
      }
      expect(world.cluster.writes.slice(length)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
