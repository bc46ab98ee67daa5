import { fakeDigest } from '../../api/names.fixture.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { type RolloutSpec, rolloutSpecSchema, type Step } from '../../api/rollout.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { type Decision, decide } from '../decide.ts';
import type { AdapterFact, RuntimeFact } from '../facts.ts';
import { alone } from './alone.ts';
import { type Assignment, assignmentOf } from './assignment.ts';

/** What a group may say in a manifest. */
export type GroupInput = { readonly name: string } & Readonly<Record<string, unknown>>;

type Behaviour = 'Good' | 'Slow' | 'Refuses' | 'Trips' | 'Dies' | 'ByHand';

type Node = {
  readonly labels: Readonly<Record<string, string>>;
  isConnected: boolean;
  awaySince: number | undefined;
  isServing: boolean;
  behaviour: Behaviour;
  /** What it reports, as of its last look at the plan. */
  seen: (Assignment & { readonly attempt: number }) | undefined;
};

/** One minute in milliseconds. */
export const minute = 60_000;

/** For tests: a rollout in groups over runtimes that follow their plan when they are told to, and a person. */
export class GroupWorld {
  readonly nodes = new Map<string, Node>();
  now = Date.parse('2026-01-01T00:00:00Z');
  status: RolloutStatus | undefined;
  generation = 1;
  adapter = 'v1';
  steps: readonly Step[];
  groups: readonly GroupInput[] | undefined;
  more: Partial<Record<keyof RolloutSpec, unknown>> = {};
  /** Of every decision. */
  readonly events: string[] = [];
  #requests = 0;
  #isRetrying = false;

  constructor(groups: readonly GroupInput[] | undefined, steps: readonly Step[] = []) {
    this.groups = groups;
    this.steps = steps;
  }

  get spec(): RolloutSpec {
    const { adapter, steps, groups } = this;
    const strategy = { canary: { steps } };
    return rolloutSpecSchema.parse({ adapter, strategy, ...(groups && { groups }), ...this.more });
  }

  join(...names: readonly string[]): this {
    return this.joinWith({}, ...names);
  }
  joinWith(labels: Readonly<Record<string, string>>, ...names: readonly string[]): this {
    for (const name of names)
      this.nodes.set(name, {
        labels,
        isConnected: true,
        awaySince: undefined,
        isServing: true,
        behaviour: 'Good',
        seen: undefined,
      });
    return this;
  }
  node(name: string): Node {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }
  leave(...names: readonly string[]): this {
    for (const name of names) Object.assign(this.node(name), { isConnected: false, awaySince: this.now });
    return this;
  }
  back(...names: readonly string[]): this {
    for (const name of names) Object.assign(this.node(name), { isConnected: true, awaySince: undefined });
    return this;
  }
  behave(behaviour: Behaviour, ...names: readonly string[]): this {
    for (const name of names) this.node(name).behaviour = behaviour;
    return this;
  }

  /** What the plan gives a runtime. */
  given(name: string): Assignment {
    const { labels } = this.node(name);
    if (this.status?.canary === undefined) return { isLoaded: false, weight: 0, mirror: 0 };
    return assignmentOf(this.status, 'rollout-1', { key: name, labels });
  }
  /** Names of the runtimes that are given the canary at this weight or more. */
  having(weight = 0): string[] {
    return [...this.nodes.keys()].filter(
      (name) => this.given(name).isLoaded && this.given(name).weight >= weight,
    );
  }

  /** Connected runtimes take up their plan; an adapter that kills its node does so as it is loaded. */
  follow(...names: readonly string[]): this {
    for (const name of names.length === 0 ? this.nodes.keys() : names) {
      const node = this.node(name);
      if (!node.isConnected) continue;
      node.seen = { ...this.given(name), attempt: this.status?.canary?.attempt ?? 0 };
      if (node.behaviour === 'Dies' && node.seen.isLoaded) this.leave(name);
    }
    return this;
  }

  fact(name: string): RuntimeFact {
    const { labels, isConnected, awaySince, isServing, behaviour, seen } = this.node(name);
    const { canary: bound } = this.status ?? {};
    const attempt = bound?.adapter === this.adapter ? bound.attempt + (this.#isRetrying ? 1 : 0) : undefined;
    const knows = seen !== undefined && attempt !== undefined && seen.attempt >= attempt;
    const canary = !knows || !seen.isLoaded ? 'Pending' : stateOf[behaviour];
    const weight = knows ? { weight: seen.weight } : {};
    const fact = { isConnected, awaySince, isServing, canary, why: behaviour, ...weight };
    return alone('rollout-1', { key: name, labels, ...fact });
  }

  decide({ elapsedMs = 0, verb }: { elapsedMs?: number; verb?: string } = {}): Decision {
    this.now += elapsedMs;
    const metadata = {
      namespace: 'team-a',
      name: 'sql',
      uid: 'rollout-1',
      generation: this.generation,
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: {},
      labels: {},
    };
    const { status, spec } = this;
    const rollout: RolloutObject = { kind: 'AdapterRollout', metadata, spec, ...(status && { status }) };
    const isFailed =
      status?.groups?.some(({ phase }) => phase === 'Failed' || phase === 'RolledBack') === true;
    this.#isRetrying = verb === 'retry' && (isFailed || status?.abort !== undefined);
    const runtimes = [...this.nodes.keys()].map((name) => this.fact(name));
    this.#isRetrying = false;
    const connected = runtimes.filter((one) => one.isConnected);
    const ready = connected.filter((one) => one.canary === 'Ready');
    const isResident = status?.stable === undefined || ready.length === connected.length;
    const target: AdapterFact = {
      uid: `uid-${this.adapter}`,
      digest: fakeDigest(this.adapter.slice(1)),
      state: isResident ? 'Resident' : 'Pending',
      reason: '',
      message: '',
      baseModel: 'tiny',
      runtimes: { ready: ready.length, connected: connected.length },
    };
    const request = verb === undefined ? undefined : { verb, id: `r${++this.#requests}` };
    const decision = decide({ rollout, facts: { target, runtimes }, now: this.now, elapsedMs, request });
    this.status = decision.status;
    this.events.push(...decision.events.map(({ reason }) => reason));
    return decision;
  }

  /** v1 is stable; then the spec names v2. */
  begin(): this {
    this.decide();
    return this.name('v2');
  }
  name(adapter: string): this {
    this.adapter = adapter;
    this.generation++;
    return this;
  }
  edit(change: () => void): this {
    change();
    this.generation++;
    return this;
  }

  /** Decides and lets the runtimes follow until nothing changes any more. */
  settle(): this {
    for (let i = 0; i < 60; i++) {
      const before = this.status;
      this.follow();
      this.decide();
      if (this.status === before) return this;
    }
    throw new Error(`does not settle: ${this.status?.message}`);
  }

  get phases(): string[] {
    return (this.status?.groups ?? []).map(({ name, phase, weight }) => `${name} ${phase} ${weight}`);
  }
}

const stateOf: Readonly<Record<Behaviour, RuntimeFact['canary']>> = {
  Good: 'Ready',
  Slow: 'Pending',
  Refuses: 'Failed',
  Trips: 'Failed',
  Dies: 'Pending',
  ByHand: 'Held',
};
