import { expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, uidOf } from './world.fixture.ts';

const nodes = ['a', 'b', 'c'];
const boundTo = (adapter: string) => ({ adapter, uid: uidOf(adapter), digest: digestOf(adapter) });

/** In a pause of an hour. */
const paused = (name: string): RolloutObject =>
  aRollout(
    { name },
    {
      adapter: 'v2',
      strategy: {
        canary: { steps: [{ setWeight: 10 }, { pause: { duration: '1h' } }], hashOn: 'User' },
      },
    },
    aStatus({
      stable: boundTo('v1'),
      canary: { ...boundTo('v2'), seed: '00', attempt: 1 },
      weights: { stable: 90, canary: 10 },
    }),
  );
const atRest = (name: string): RolloutObject =>
  aRollout({ name }, { adapter: 'v1' }, aStatus({ stable: boundTo('v1') }));

/** Rollouts of which everything is decided and written. */
class Fleet {
  readonly #world = new RolloutWorld(...nodes).adapter('v1').adapter('v2');
  readonly #keys: readonly ObjectKey[];
  /** When each is looked at again, as it asked for. */
  readonly #dueAt = new Map<ObjectKey, number>();

  private constructor(rollouts: readonly RolloutObject[]) {
    for (const adapter of ['v1', 'v2']) this.#world.state(adapter, 'Resident');
    this.#keys = rollouts.map((rollout) => this.#world.cluster.apply(rollout));
  }

  static async of(...rollouts: readonly RolloutObject[]): Promise<Fleet> {
    const fleet = new Fleet(rollouts);
    while ((await fleet.pass(1)) > 0);
    return fleet;
  }

  /** How many statuses are written in so many seconds. */
  async pass(seconds: number): Promise<number> {
    const { clock, cluster, controller } = this.#world;
    const { length } = cluster.writes;
    for (let second = 0; second < seconds; second++) {
      clock.advance(1000);
      const now = clock.monotonic();
      for (const key of this.#keys) {
        if ((this.#dueAt.get(key) ?? now) > now) continue;
        const { length: before } = cluster.writes;
        const { requeueAfterMs = Number.POSITIVE_INFINITY } = await controller.reconcile(
          key,
          new AbortController().signal,
        );
        // What is written is seen.
        this.#dueAt.set(key, cluster.writes.length > before ? now : now + requeueAfterMs);
      }
    }
    return cluster.writes.length - length;
  }

  isHere(node: string, connected: boolean): void {
    this.#dueAt.clear();
    this.#world.fleet.report(runtimeKey(node), { connected, disconnectedAt: this.#world.clock.now() });
  }

  get statuses() {
    return this.#keys.map((key) => this.#world.cluster.rollouts.server.get(key)?.object?.status);
  }
}

const many = <T>(length: number, of: (name: string) => T): T[] =>
  Array.from({ length }, (_, at) => of(`r${at}`));

it('200 rollouts in timed pauses are written once a second in all, and of no pause more than 230 s are missing', async () => {
  const fleet = await Fleet.of(...many(200, paused));
  expect(await fleet.pass(100)).toBeLessThanOrEqual(20 + 100);
  await fleet.pass(150);
  const written = fleet.statuses.map((status) => status?.step?.elapsedMs ?? 0);
  expect(Math.min(...written)).toBeGreaterThanOrEqual(250_000 - 230_000);
});

it('few rollouts in timed pauses are written every 30 s', async () => {
  const fleet = await Fleet.of(...many(15, paused));
  await fleet.pass(299);
  for (const status of fleet.statuses) expect(status?.step?.elapsedMs).toBeGreaterThanOrEqual(270_000);
});

it('a rollout under way does not wait for the counts of those at rest', async () => {
  const fleet = await Fleet.of(paused('under-way'), ...many(80, atRest));
  fleet.isHere('a', false);
  await fleet.pass(3);
  fleet.isHere('b', false);
  // Of those at rest 20 are written at once.
  await fleet.pass(12);
  expect(fleet.statuses[0]?.runtimes?.offline).toBe(2);
  await fleet.pass(31);
  expect(fleet.statuses[0]?.step?.elapsedMs).toBeGreaterThanOrEqual(40_000);
});

it('counts of rollouts at rest are written once in four seconds in all', async () => {
  const fleet = await Fleet.of(...many(40, atRest));
  fleet.isHere('a', false);
  expect(await fleet.pass(60)).toBeLessThanOrEqual(20 + 15);
  await fleet.pass(30);
  expect(new Set(fleet.statuses.map((status) => status?.runtimes?.offline))).toEqual(new Set([1]));
});

it('a turn that comes while only time has passed is not kept for later', async () => {
  const fleet = await Fleet.of(...many(60, paused));
  fleet.isHere('a', false);
  // Twenty are written.
  await fleet.pass(3);
  fleet.isHere('a', true);
  await fleet.pass(18);
  fleet.isHere('a', false);
  expect(await fleet.pass(4)).toBeLessThanOrEqual(4);
});
