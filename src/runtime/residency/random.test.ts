import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type EvictionPolicyName, evictionPolicyNames } from './eviction-policies.ts';
import { adapter, key, loadedBytes, settle, type World, world } from './fake-ports.ts';
import type { Lease } from './manager.ts';

const names = ['a', 'b', 'c', 'd', 'e'] as const;
const sizes = { a: 10, b: 15, c: 20, d: 5, e: 40 };
const budgetBytes = 45;

const name = fc.constantFrom(...names);
const op = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('acquire' as const), name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abandon' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('evict' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pin' as const), name, pinned: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('limit' as const), bytes: fc.nat(60) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('expect' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(3_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('go' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('hold' as const),
      name,
      stage: fc.constantFrom('fetch', 'compile', 'load', 'probe', 'unload', 'remove'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      name,
      stage: fc.constantFrom('fetch', 'compile', 'load', 'probe', 'unload'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('plan' as const),
      names: fc.uniqueArray(name),
      held: fc.boolean(),
      memory: fc.boolean(),
      version: fc.nat(2),
    }),
  },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

/** Runs operations against a residency, keeping its own count of what is leased. */
class Player {
  readonly w: World;
  readonly leases: Lease[] = [];
  readonly waiting: AbortController[] = [];
  /** Calls of ports that do not end before `go`. */
  readonly held: PromiseWithResolvers<void>[] = [];
  /** Requests that have no answer yet. */
  open = 0;
  /** Leases of the present life of the engine, by engine-side name. */
  readonly used = new Map<string, number>();

  constructor(
    oneAdapter: boolean,
    evictionPolicy: EvictionPolicyName,
    { prefetches, shares }: { readonly prefetches: boolean; readonly shares: boolean },
  ) {
    const prefetch = prefetches ? { downloads: true, hourlyBytes: Infinity } : undefined;
    const of = (guarantee: number, limit: number) => () => ({ guarantee, limit });
    this.w = world({
      ...(shares ? { memoryShare: of(10, 30), diskShare: of(5, 15) } : {}),
      budgetBytes,
      sizes,
      oneAdapter,
      evictionPolicy,
      prefetch,
      maxParallelLoads: 2,
    });
    this.w.residency.apply(names.map((n) => adapter(n)));
    const unload = this.w.engine.unload.bind(this.w.engine);
    this.w.engine.unload = (engineName) => {
      expect(this.used.get(engineName) ?? 0, `${engineName} is in use`).toBe(0);
      return unload(engineName);
    };
  }

  play(step: Op): void {
    const { residency, engine, script, clock } = this.w;
    switch (step.kind) {
      case 'acquire': {
        const caller = new AbortController();
        this.waiting.push(caller);
        void this.acquire(step.name, caller.signal);
        return;
      }
      case 'release':
        this.release(step.which);
        return;
      case 'abandon':
        this.waiting[step.which % Math.max(1, this.waiting.length)]?.abort();
        return;
      case 'evict':
        residency.evict(key(step.name), AbortSignal.abort()).catch((error: unknown) => {
          expect(error).toBeInstanceOf(AdaptletError);
        });
        return;
      case 'pin':
        if (residency.state(key(step.name)) !== undefined) residency.pin(key(step.name), step.pinned);
        return;
      case 'expect':
        residency.expect([key(step.name)]);
        return;
      case 'kill':
        if (engine.state !== 'ready') return;
        this.leases.length = 0;
        this.used.clear();
        engine.kill();
        return;
      case 'limit':
        residency.limitMemory(step.bytes);
        return;
      case 'start':
        if (engine.state === 'down') engine.become('ready');
        return;
      case 'advance':
        clock.advance(step.ms);
        return;
      case 'fail':
        script.fail(`${step.stage} ${step.name}`, new AdaptletError('INTERNAL', 'boom'));
        return;
      case 'hold':
        this.held.push(script.hold(`${step.stage} ${step.name}`));
        return;
      case 'go':
        this.go();
        return;
      case 'plan':
        residency.apply(
          step.names.map((n, i) =>
            adapter(n, {
              uid: `uid-${n}-${step.version}`,
              held: step.held && i === 0,
              tier: step.memory ? 'Memory' : 'None',
            }),
          ),
        );
        return;
    }
  }

  async acquire(asked: string, signal: AbortSignal): Promise<void> {
    this.open += 1;
    try {
      const lease = await this.w.residency.acquire(key(asked), { signal });
      // Granted just before the engine ended: void already.
      if (!this.w.engine.loaded.has(lease.engineName)) return;
      this.leases.push(lease);
      this.count(lease.engineName, 1);
    } catch (error) {
      expect(error).toBeInstanceOf(AdaptletError);
    } finally {
      this.open -= 1;
    }
  }

  go(): void {
    for (const held of this.held.splice(0)) held.resolve();
  }

  count(engineName: string, by: number): void {
    this.used.set(engineName, (this.used.get(engineName) ?? 0) + by);
  }

  release(which: number): void {
    const [lease] = this.leases.splice(which % Math.max(1, this.leases.length), 1);
    if (lease === undefined) return;
    this.count(lease.engineName, -1);
    lease[Symbol.dispose]();
  }

  check(): void {
    const { residency, engine } = this.w;
    expect(this.w.script.calls.length, 'work comes to rest').toBeLessThan(2_000);
    expect(loadedBytes(this.w)).toBeLessThanOrEqual(budgetBytes);
    expect(residency.usage().usedBytes).toBeLessThanOrEqual(budgetBytes);
    for (const [engineName, leases] of this.used) {
      if (leases > 0) expect(engine.loaded.has(engineName), engineName).toBe(true);
    }
    for (const view of residency.facts()) {
      expect(view.references).toBeGreaterThanOrEqual(0);
      if (view.references > 0) expect(['Resident', 'Draining']).toContain(view.state);
      if (view.state === 'Resident') expect(engine.loaded.size).toBeGreaterThan(0);
    }
  }

  /** Everyone goes home: nothing may be left that cannot be evicted. */
  async end(): Promise<void> {
    const { residency, engine, clock } = this.w;
    if (engine.state === 'down') engine.become('ready');
    // Everyone who still waits gets an answer, whatever else happened, as long as leases are given back.
    for (let i = 0; i < 12; i++) {
      this.go();
      await settle();
      while (this.leases.length > 0) this.release(0);
      clock.advance(5_000);
      await settle();
      this.check();
    }
    expect(this.open).toBe(0);
    residency.apply([]);
    for (let i = 0; i < 8; i++) {
      this.go();
      await settle();
      clock.advance(300_000);
    }
    await settle();
    expect([residency.facts(), engine.loaded.size, residency.usage()]).toEqual([
      [],
      0,
      expect.objectContaining({ budgetBytes, usedBytes: 0, storedBytes: 0, waiting: 0 }),
    ]);
  }
}

it('whatever happens in whatever order: the budget holds, nothing in use is unloaded, and in the end all is gone', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.constantFrom(...evictionPolicyNames),
      fc.record({ prefetches: fc.boolean(), shares: fc.boolean() }),
      fc.array(fc.tuple(op, fc.boolean()), { minLength: 5, maxLength: 60 }),
      async (oneAdapter, policy, shape, history) => {
        const player = new Player(oneAdapter, policy, shape);
        for (const [step, pause] of history) {
          player.play(step);
          if (pause) await settle();
          player.check();
        }
        await player.end();
      },
    ),
    { numRuns: 400 },
  );
});
