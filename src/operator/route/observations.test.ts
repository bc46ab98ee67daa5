import { expect, it } from 'vitest';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { aRoute } from '../../plan/manifests.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { RouteWorld } from './world.fixture.ts';

const { signal } = new AbortController();

/** So many routes that are applied together, and a controller that looks at each as soon as it is wanted. */
class Routes {
  readonly world = new RouteWorld();
  readonly keys: readonly ObjectKey[];
  /** When each is looked at next, in milliseconds since the beginning. */
  readonly #wanted = new Map<ObjectKey, number>();
  #now = 0;

  constructor(routes: number, nodes: readonly string[]) {
    this.world.join(...nodes);
    this.keys = Array.from({ length: routes }, (_, at) => objectKey('team-a', `r${at}`));
    this.world.controller.follow((key, afterMs) => this.#want(key, afterMs));
    for (const key of this.keys)
      this.world.cluster.apply(aRoute({ name: key.slice(7) }, { model: key.slice(7) }));
  }

  /** The runtimes answer a plan of what is at the server now, or refuse one route of it. */
  acknowledge(nodes: readonly string[], refused?: ObjectKey): void {
    const { routes } = this.world.cluster;
    const versions = this.keys.map((key) => Number(routes.server.get(key)?.resourceVersion ?? 0));
    const acknowledged = { ...noRevision, routes: BigInt(Math.max(...versions)) };
    const refusals = new Map(refused === undefined ? [] : [[`Route ${refused}`, 'no']]);
    for (const node of nodes) this.world.fleet.report(runtimeKey(node), { acknowledged, refused: refusals });
  }

  /** Writes of each of so many seconds. */
  async pass(seconds: number, everySecond: (second: number) => void = () => undefined): Promise<number[]> {
    const counts: number[] = [];
    for (let second = 0; second < seconds; second++) {
      const { length } = this.world.cluster.writes;
      everySecond(second);
      for (let part = 0; part < 10; part++) await this.#look();
      counts.push(this.world.cluster.writes.length - length);
    }
    return counts;
  }

  runtimesOf(key: ObjectKey) {
    return this.world.cluster.routes.server.get(key)?.object?.status?.runtimes;
  }

  #want(key: ObjectKey, afterMs: number): void {
    this.#wanted.set(key, Math.min(this.#wanted.get(key) ?? Number.POSITIVE_INFINITY, this.#now + afterMs));
  }

  async #look(): Promise<void> {
    this.world.clock.advance(100);
    this.#now += 100;
    for (const [key, at] of this.#wanted) {
      if (at > this.#now) continue;
      this.#wanted.delete(key);
      const { requeueAfterMs } = await this.world.controller.reconcile(key, signal);
      if (requeueAfterMs !== undefined) this.#want(key, requeueAfterMs);
    }
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
const nodes = Array.from({ length: 1000 }, (_, at) => `n${at}`);

it('200 routes that a thousand runtimes take over in 17 seconds cost two writes each, and a count every two seconds', async () => {
  const routes = new Routes(200, nodes);
  const decided = await routes.pass(10);
  // The first hundred at once, the others 20 a second.
  expect(sum(decided.slice(0, 2))).toBeGreaterThanOrEqual(100);
  expect(sum(decided)).toBe(200);
  const counted = await routes.pass(17, (second) =>
    routes.acknowledge(nodes.slice(60 * second, 60 * second + 60)),
  );
  const inForce = await routes.pass(10);
  expect(sum([...counted, ...inForce])).toBeLessThanOrEqual(200 + 20 + 27 / 2);
  for (const key of routes.keys) expect(routes.runtimesOf(key)).toEqual({ desired: 1000, programmed: 1000 });
});

it('routes that a runtime refuses cost a write every two seconds in all, however many runtimes come and go', async () => {
  const few = nodes.slice(0, 20);
  const routes = new Routes(60, few);
  await routes.pass(5);
  for (const key of routes.keys) routes.acknowledge(few.slice(0, 1), key);
  const refusals = new Map(routes.keys.map((key) => [`Route ${key}`, 'no'] as const));
  routes.world.fleet.report(runtimeKey('n0'), { refused: refusals });
  routes.acknowledge(few.slice(1));
  await routes.pass(60);
  const flap = (second: number): void =>
    routes.world.fleet.report(runtimeKey('n7'), { connected: second % 2 === 1 });
  expect(sum(await routes.pass(120, flap))).toBeLessThanOrEqual(20 + 120 / 2);
});

it('the counts of one route are written every two seconds, and the first twenty times each second', async () => {
  const routes = new Routes(1, nodes.slice(0, 100));
  await routes.pass(2);
  const counts = await routes.pass(90, (second) => routes.acknowledge([`n${second}`]));
  expect(sum(counts)).toBeGreaterThanOrEqual(20 + 60 / 2);
});
