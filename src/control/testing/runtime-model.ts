import { expect } from 'vitest';
import { resourceKey, type Versioned } from '../../plan/resources.ts';
import type { Clock } from '../../time/clock.ts';
import { heldPlanSchema, heldPlanToJson, noHeldPlan } from '../held-plan.ts';
import { namespaceOf } from '../key.ts';
import { Receiver } from '../receiver.ts';
import { noRevision, type Revision } from '../revision.ts';
import { selectionOf } from '../selection.ts';
import type { Batch } from '../sender.ts';
import { Subscriptions } from '../subscriptions.ts';
import { type Refusal, resourceToWire } from '../wire.ts';
import { type ApiModel, refusedModel } from './api-model.ts';

/** Why a plan may differ from what was compiled. */
type Excuses = {
  /** Refused version by key. */
  readonly refused: ReadonlyMap<string, string>;
  /** Keys that a damaged file lost. */
  readonly lost: ReadonlySet<string>;
  /** Keys that the gate did not let go. */
  readonly gated: ReadonlySet<string>;
};

/** A batch as it travels, with what only the model knows. */
export type Parcel = { readonly batch: Batch; readonly gated: ReadonlySet<string> };

/** What goes wrong with a commit: the process ends before it is on the disk, or before it is answered; the disk refuses. */
export type Mishap = 'None' | 'BeforePersist' | 'BeforeAck' | 'DiskRefuses';

/** What is on the disk, and what the model knows of it. */
type Disk = { readonly text: string; readonly excuses: Excuses; readonly reached: Revision };

const emptyDisk: Disk = {
  text: JSON.stringify(heldPlanToJson(noHeldPlan)),
  excuses: { refused: new Map(), lost: new Set(), gated: new Set() },
  reached: noRevision,
};

/**
 * A runtime with its disk. Every plan that comes into force is checked: it is what was compiled for its revision, apart
 * from what is refused, held back, withheld or gated; the revision never falls while the process lives; one step takes
 * away half at most.
 */
export class RuntimeModel {
  readonly #api: ApiModel;
  readonly #clock: Clock;
  readonly #index: number;
  readonly subscriptions = new Subscriptions();
  receiver: Receiver;
  #disk = emptyDisk;
  /** Of the plan in force. */
  #excuses = emptyDisk.excuses;
  #reached = emptyDisk.reached;
  /** Keys that it was told to remove by this stream, and not to put since. */
  readonly #told = new Set<string>();
  /** Refused after they had been told to go: the other side cannot know whether the removal was held back. */
  readonly #uncertain = new Set<string>();
  /** Spoils the next resource that arrives. */
  corrupt = false;

  constructor(api: ApiModel, clock: Clock, index: number) {
    this.#api = api;
    this.#clock = clock;
    this.#index = index;
    this.receiver = this.#start();
  }

  get index(): number {
    return this.#index;
  }

  /** Of the plan in force. */
  get reached(): Revision {
    return this.#reached;
  }

  hello(): ReturnType<Receiver['hello']> {
    this.#told.clear();
    this.#uncertain.clear();
    return this.receiver.hello();
  }

  list(): ReadonlyMap<string, string> {
    return new Map(this.receiver.heldList().map(({ key, version }) => [key, version]));
  }

  restart(): void {
    this.receiver = this.#start();
    this.#check();
  }

  /** One resource of the file is not what it was. */
  damage(n: number): void {
    const file = JSON.parse(this.#disk.text);
    if (file.resources.length === 0) return;
    const item = file.resources[n % file.resources.length];
    item.body = { ...item.body, uid: 'damaged' };
    this.#disk = { ...this.#disk, text: JSON.stringify(file) };
  }

  put(resource: Versioned): void {
    const key = resourceKey(resource);
    const held = this.receiver.plan.get(key)?.version;
    const waits = this.receiver.held().removals.some((removal) => removal.key === key);
    const isSpare = held === resource.version && !waits && !this.#uncertain.has(key);
    expect(isSpare, `${key} is sent though it is held`).toBe(false);
    const plan = this.receiver.plan;
    const wire = resourceToWire(resource);
    this.receiver.put(this.corrupt ? { ...wire, body: wire.body.subarray(1) } : wire);
    this.corrupt = false;
    expect(this.receiver.plan, 'a plan changes with a commit only').toBe(plan);
  }

  /** What it answers; `Crashed` when it did not come to that. */
  commit({ batch, gated }: Parcel, mishap: Mishap): readonly Refusal[] | 'Rejected' | 'Crashed' {
    const before = this.receiver.plan;
    const waiting = new Set(this.receiver.held().removals.map(({ key }) => key));
    const overdue = new Set(
      this.receiver
        .held()
        .removals.filter((r) => r.remainingMs === 0)
        .map((r) => r.key),
    );
    const done = this.receiver.commit(batch.commit);
    if (done.outcome === 'Rejected') {
      expect(done.why).toBe('Stale');
      expect(isBelow(batch.commit.revision, this.#reached), 'only a stale commit is refused').toBe(true);
      return 'Rejected';
    }
    const refused = new Map(this.#excuses.refused);
    const lost = new Set(this.#excuses.lost);
    for (const resource of batch.puts) {
      const key = resourceKey(resource);
      const isRefused = done.refused.some((one) => one.key === key);
      if (isRefused) refused.set(key, resource.version);
      else refused.delete(key);
      if (!isRefused) lost.delete(key);
      if (!isRefused) this.#uncertain.delete(key);
      else if (waiting.has(key) || this.#told.has(key)) this.#uncertain.add(key);
      this.#told.delete(key);
    }
    for (const key of batch.removes) {
      refused.delete(key);
      this.#told.add(key);
    }
    this.#excuses = { refused, lost, gated };
    this.#inForce();
    if (batch.commit.confirmedRemovals === '') this.#checkBrake(before, overdue);
    if (mishap === 'BeforePersist') return 'Crashed';
    if (mishap !== 'DiskRefuses') this.#persist();
    return mishap === 'BeforeAck' ? 'Crashed' : done.refused;
  }

  /** Time went by. */
  due(): void {
    const before = this.receiver.removals;
    const after = this.receiver.removalsDue();
    if (after === undefined) return;
    expect(before?.remainingMs).toBe(0);
    this.#inForce();
    this.#persist();
  }

  /** Once the world is quiet: exactly what the newest state says, apart from what it refuses or what is not valid. */
  expectConverged(): void {
    const { plan, withheld } = this.#api.compiledAt(this.#api.newest, this.#index);
    const { base, extra } = selectionOf(plan, this.subscriptions.names);
    const wanted = new Map([...base, ...extra]);
    for (const key of new Set([...wanted.keys(), ...this.receiver.plan.keys()])) {
      if (this.#stays(key) || withheld.has(key)) continue;
      if (wanted.get(key) !== undefined && this.#refuses(wanted.get(key))) continue;
      expect(this.receiver.plan.get(key)?.version, `${key} at the end`).toBe(wanted.get(key)?.version);
    }
  }

  #refuses(resource: Versioned | undefined): boolean {
    return resource?.type === 'Route' && resource.body.model === refusedModel;
  }

  #start(): Receiver {
    const { text, excuses, reached } = this.#disk;
    this.#excuses = excuses;
    this.#reached = reached;
    const { held, problems } = heldPlanSchema.parse(JSON.parse(text));
    if (problems.length > 0) {
      const all: { key: string }[] = JSON.parse(text).resources;
      const read = new Set(held.resources.map(resourceKey));
      const lost = all.map(({ key }) => key).filter((key) => !read.has(key));
      this.#excuses = { ...this.#excuses, lost: new Set([...this.#excuses.lost, ...lost]) };
    }
    return new Receiver({
      held,
      clock: this.#clock,
      check: (resource) => (this.#refuses(resource) ? 'not this one' : undefined),
    });
  }

  /** A plan came into force. */
  #inForce(): void {
    expect(isBelow(this.receiver.revision, this.#reached), 'the revision never falls').toBe(false);
    this.#reached = this.receiver.revision;
    this.#check();
  }

  #persist(): void {
    const text = JSON.stringify(heldPlanToJson(this.receiver.held()));
    this.#disk = { text, excuses: this.#excuses, reached: this.#reached };
  }

  #checkBrake(before: ReadonlyMap<string, unknown>, overdue: ReadonlySet<string>): void {
    const isGone = (key: string): boolean => !this.receiver.plan.has(key);
    // What waited long enough goes by itself; of fewer than four that are left then, all may go.
    const counted = [...before.keys()].filter((key) => !overdue.has(key) || !isGone(key));
    if (counted.length >= 4)
      expect(counted.filter(isGone).length, 'one step takes away half at most').toBeLessThanOrEqual(
        counted.length / 2,
      );
  }

  /** The plan in force is no torn one. */
  #check(): void {
    const { revision, plan } = this.receiver;
    const compiled = this.#api.compiledAt(revision, this.#index);
    const waits = new Set(this.receiver.held().removals.map(({ key }) => key));
    const { refused, lost, gated } = this.#excuses;
    for (const [key, { version }] of plan) {
      const wanted = compiled.plan.get(key);
      const isExcused =
        compiled.withheld.has(key) || waits.has(key) || gated.has(key) || this.#stays(key, revision);
      if (wanted?.version === version || isExcused) continue;
      if (wanted !== undefined && refused.get(key) === wanted.version) continue;
      expect.fail(`${key} is not what was compiled for its revision`);
    }
    for (const [key, { version }] of selectionOf(compiled.plan, []).base) {
      if (plan.has(key) || lost.has(key) || compiled.withheld.has(key) || refused.get(key) === version)
        continue;
      // What may be there is not replaced while something that is not valid may need it.
      if (this.#uncertain.has(key) && this.#stays(key, revision)) continue;
      expect.fail(`${key} was compiled for this revision and is not there`);
    }
  }

  /** Nothing wants the adapter, but something in its namespace is not valid that may. */
  #stays(key: string, revision: Revision = this.#api.newest): boolean {
    const { plan, withheld } = this.#api.compiledAt(revision, this.#index);
    const next = plan.get(key);
    return (
      next?.type === 'AdapterSpec' &&
      next.body.tier === 'None' &&
      !next.body.held &&
      [...withheld].some((one) => !one.startsWith('AdapterSpec ') && namespaceOf(one) === namespaceOf(key))
    );
  }
}

/** In any part. Not by what is tested here. */
export const isBelow = (a: Revision, b: Revision): boolean =>
  a.adapters < b.adapters || a.rollouts < b.rollouts || a.routes < b.routes || a.runtimes < b.runtimes;
