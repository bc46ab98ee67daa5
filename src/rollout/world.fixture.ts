import type { z } from 'zod';
import { fakeDigest } from '../api/names.fixture.ts';
import type { RolloutObject } from '../api/objects.ts';
import {
  type BlueGreen,
  type RolloutSpec,
  rolloutSpecSchema,
  type Step,
  type strategySchema,
} from '../api/rollout.ts';
import { type RolloutStatus } from '../api/rollout-status.ts';
import { type Decision, decide } from './decide.ts';
import type { AdapterFact, AnalysisFact, Facts, Held } from './facts.ts';

type SpecInput = {
  adapter?: string;
  steps?: readonly Step[];
  paused?: boolean;
  revisions?: number;
  limit?: number;
  /** Instead of steps of a canary. */
  blueGreen?: Partial<BlueGreen> | undefined;
  /** Instead of either. */
  strategy?: z.input<typeof strategySchema> | undefined;
  deadline?: string;
  abortOnDeadline?: boolean;
};

/** For tests: a rollout, the adapters it may name, and a person who changes both. Decides like a controller does. */
export class DecisionWorld {
  readonly adapters = new Map<string, AdapterFact>();
  readonly analyses = new Map<string, AnalysisFact>();
  /** Of the spec: why its own analyses are not valid. */
  invalidAnalyses: string | undefined;
  held: Held[] = [];
  room: Facts['room'];
  stableFails: Facts['stableFails'];
  whyNotBack: Facts['whyNotBack'];
  reports: Facts['reports'];
  measured: Facts['measured'];
  mirrored: Facts['mirrored'];
  now = Date.parse('2026-01-01T00:00:00Z');
  status: RolloutStatus | undefined;
  generation = 1;
  #spec: SpecInput & { adapter: string; steps: readonly Step[] };
  #parsed: RolloutSpec | undefined;
  #requests = 0;

  constructor(steps: readonly Step[]) {
    this.#spec = { adapter: 'v1', steps, paused: false, revisions: 1, limit: 3 };
  }

  /** Another one that is in the same state; what happens to it does not happen to this one. */
  clone(): DecisionWorld {
    const copy = new DecisionWorld(this.#spec.steps);
    copy.#spec = this.#spec;
    copy.#parsed = this.#parsed;
    copy.#requests = this.#requests;
    for (const [name, fact] of this.adapters) copy.adapters.set(name, fact);
    for (const [name, fact] of this.analyses) copy.analyses.set(name, fact);
    copy.invalidAnalyses = this.invalidAnalyses;
    copy.held = this.held;
    copy.room = this.room;
    copy.stableFails = this.stableFails;
    copy.whyNotBack = this.whyNotBack;
    copy.reports = this.reports;
    copy.measured = this.measured;
    copy.mirrored = this.mirrored;
    copy.now = this.now;
    copy.status = this.status;
    copy.generation = this.generation;
    return copy;
  }

  get spec(): RolloutSpec {
    this.#parsed ??= this.#parse();
    return this.#parsed;
  }

  #parse(): RolloutSpec {
    const { adapter, steps, paused, revisions, limit, blueGreen, deadline, abortOnDeadline } = this.#spec;
    const other = blueGreen === undefined ? { canary: { steps } } : { blueGreen };
    return rolloutSpecSchema.parse({
      adapter,
      paused,
      revisionHistoryLimit: limit,
      rollbackWindow: { revisions },
      strategy: this.#spec.strategy ?? other,
      progressDeadline: deadline,
      progressDeadlineAbort: abortOnDeadline,
    });
  }

  get rollout(): RolloutObject {
    const metadata = {
      namespace: 'team-a',
      name: 'sql',
      uid: 'rollout-1',
      generation: this.generation,
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: {},
      labels: {},
    };
    const { spec, status, invalidAnalyses } = this;
    return {
      kind: 'AdapterRollout',
      metadata,
      spec,
      ...(status && { status }),
      ...(invalidAnalyses !== undefined && { invalidAnalyses }),
    };
  }

  edit(change: SpecInput): this {
    this.#spec = { ...this.#spec, ...change };
    this.#parsed = undefined;
    this.generation++;
    return this;
  }

  /** Adds or changes an adapter: `v1` has the digest of ones, and so on. */
  adapter(name: string, change: Partial<AdapterFact> = {}): this {
    const known = this.adapters.get(name) ?? {
      uid: `uid-${name}`,
      digest: fakeDigest(name.slice(1)),
      state: 'Resident',
      reason: '',
      message: '',
      baseModel: 'tiny',
    };
    this.adapters.set(name, { ...known, ...change });
    return this;
  }

  /** A node holds an adapter back, as nodes do: in the attempt of the canary that it is, else in the first. */
  hold(name: string, reason = 'errors'): this {
    const digest = fakeDigest(name.slice(1));
    const { canary } = this.status ?? {};
    const attempt = canary?.digest === digest ? canary.attempt : 1;
    this.held = [...this.held, { digest, attempt, reason }];
    return this;
  }

  decide(options: { elapsedMs?: number; verb?: string; id?: string } = {}): Decision {
    const { elapsedMs = 0, verb, id = `r${++this.#requests}` } = options;
    this.now += elapsedMs;
    const stable = this.status?.stable;
    const decision = decide({
      rollout: this.rollout,
      facts: {
        target: this.adapters.get(this.#spec.adapter),
        stable: stable === undefined ? undefined : this.adapters.get(stable.adapter),
        held: this.held,
        room: this.room,
        stableFails: this.stableFails,
        whyNotBack: this.whyNotBack,
        reports: this.reports,
        measured: this.measured,
        mirrored: this.mirrored,
        analysis: (name) => this.analyses.get(name),
      },
      now: this.now,
      elapsedMs,
      request: verb === undefined ? undefined : { verb, id },
    });
    this.status = decision.status;
    return decision;
  }
}

/** One minute in milliseconds. */
export const minute = 60_000;

/** Two weights, with pauses of one and two minutes. */
export const timed: readonly Step[] = [
  { setWeight: 10 },
  { pause: { duration: '1m' } },
  { setWeight: 50 },
  { pause: { duration: '2m' } },
];

export const condition = (status: RolloutStatus, type: string) =>
  status.conditions.find((c) => c.type === type);

export const reasons = ({ events }: Pick<Decision, 'events'>): string[] => events.map((e) => e.reason);

/** For tests: stable v1, and v2 as canary in the first pause of `steps`. */
export const underWay = (steps: readonly Step[]): DecisionWorld => {
  const world = new DecisionWorld(steps).adapter('v1').adapter('v2').adapter('v3');
  world.decide();
  world.edit({ adapter: 'v2' }).decide();
  return world;
};
