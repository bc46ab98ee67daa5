import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import type { RequestVerb } from '../../src/rollout/request.ts';
import { type Seeded, seeded } from '../support/random.ts';
import type { Follower } from './follower.ts';
import type { SoakRollout } from './names.ts';
import { choose, rest } from './random-times.ts';
import type { Stage } from './stage.ts';

/** Versions of a rollout that stay: those that its status may name, and some more. */
const kept = 8;
/** For which the driver waits before a rollout is helped on, or superseded. */
const patienceMs = 40_000;
/** For which it waits for what the last version needs. */
const finishMs = 60_000;

const verbs: readonly (readonly [number, RequestVerb | 'nothing'])[] = [
  [6, 'nothing'],
  [6, 'promote'],
  [3, 'abort'],
  [2, 'promote-full'],
  [1, 'rollback'],
  [1, 'retry'],
];

/** Times between things that a person does, from and to, in milliseconds. */
const times = { first: [500, 5000], rest: [2000, 15_000], retry: [500, 3000] } as const;

/** Goes from version to version of one rollout, and does by hand what people do. */
export class Driver {
  readonly counts: Record<string, number> = {};
  readonly #stage: Stage;
  readonly #follower: Follower;
  readonly #rollout: SoakRollout;
  readonly #random: Seeded;
  #version = 0;
  #deleted = 0;
  #asked?: string;

  constructor(stage: Stage, follower: Follower, rollout: SoakRollout, seed: number) {
    this.#stage = stage;
    this.#follower = follower;
    this.#rollout = rollout;
    this.#random = seeded(seed);
  }

  /** The Adapter of a version. */
  #named(version: number): string {
    return `${this.#rollout.model}-${version}`;
  }

  async #create(): Promise<string> {
    const { pool, objects } = this.#stage;
    const contents = pool.contents.get(this.#rollout) ?? [];
    const content = contents[this.#version % contents.length];
    if (content === undefined) throw new Error(`${this.#rollout.key} has no contents`);
    const name = this.#named(this.#version);
    await objects.createAdapter(this.#rollout.namespace, name, content);
    return name;
  }

  /** The first version, before there is a rollout. */
  async begin(): Promise<void> {
    await this.#stage.objects.createRollout(this.#rollout, await this.#create());
  }

  /** Until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#round(signal);
      await rest(this.#random, times.rest, signal);
    }
  }

  /** One last version, past all steps; gives its Adapter. */
  async finish(): Promise<string> {
    this.#version++;
    const name = await this.#create();
    // A request that the operator has not seen yet would be for the last version.
    await this.#seen((status) => this.#asked === undefined || status.lastHandledRequest === this.#asked);
    await this.#point(name);
    await this.#seen((status) => status.canary?.adapter === name);
    await this.#ask('promote-full');
    return name;
  }

  /** Until the status is such, or the driver has waited long enough. */
  async #seen(isSuch: (status: RolloutStatus) => boolean): Promise<void> {
    const end = performance.now() + finishMs;
    while (performance.now() < end) {
      const status = this.#follower.history(this.#rollout)?.last;
      if (status !== undefined && isSuch(status)) return;
      await sleep(100);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    this.#version++;
    const name = await this.#create();
    await this.#point(name);
    await rest(this.#random, times.first, signal);
    const verb = choose(this.#random, verbs);
    if (verb !== 'nothing') await this.#ask(verb);
    if (verb === 'abort' && this.#random.next() < 0.4) {
      await rest(this.#random, times.retry, signal);
      await this.#ask('retry');
    }
    // Some are superseded on the way, some go back to what was stable before.
    if (this.#random.next() < 0.15) return;
    if (this.#random.next() < 0.1) {
      const former = this.#follower.history(this.#rollout)?.last?.stable?.adapter;
      if (former !== undefined) await this.#point(former);
    }
    await this.#settled(name, signal);
    await this.#tidy();
  }

  async #settled(name: string, signal: AbortSignal): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!signal.aborted) {
      const status = this.#follower.history(this.#rollout)?.last;
      if (status?.stable?.adapter === name || status?.abort !== undefined) return;
      if (performance.now() > end) {
        // A person looks at what waits, such as an analysis without a verdict.
        if (status?.phase === 'Paused') await this.#ask('promote-full');
        return;
      }
      await sleep(200);
    }
  }

  /** Deletes what nobody needs any more. */
  async #tidy(): Promise<void> {
    const status = this.#follower.history(this.#rollout)?.last;
    const bound = [status?.stable, status?.canary, ...(status?.history ?? [])].map((each) => each?.adapter);
    while (this.#deleted < this.#version - kept) {
      const name = this.#named(this.#deleted);
      if (bound.includes(name)) return;
      await this.#stage.objects.deleteAdapter(this.#rollout.namespace, name);
      this.#deleted++;
      this.#count('deleted');
    }
  }

  async #point(name: string): Promise<void> {
    this.#stage.story.tell(`${this.#rollout.key} -> ${name}`);
    this.#count('versions');
    await this.#stage.objects.point(this.#rollout, name);
  }

  async #ask(verb: RequestVerb): Promise<void> {
    this.#stage.story.tell(`${this.#rollout.key} ${verb}`);
    this.#count(verb);
    this.#asked = await this.#stage.objects.ask(this.#rollout, verb);
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
