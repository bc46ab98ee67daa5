import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecisionWorld } from './world.fixture.ts';

/** What a person expects of a rollout with these steps; written without a look at the code that decides. */
type Model = {
  spec: string;
  paused: boolean;
  ready: Set<string>;
  stable: string | undefined;
  /** The stable before. */
  former: string | undefined;
  canary: string | undefined;
  weight: number;
  step: number;
  /** Milliseconds in the present pause. */
  waited: number;
  /** Milliseconds without the adapter that is wanted. */
  missed: number;
  gaveUp: boolean;
};

const second = 1000;
const deadline = 600 * second;
/** A weight, or a pause in milliseconds. */
const plan = [{ weight: 10 }, { pause: 60 * second }, { weight: 50 }, { pause: Number.POSITIVE_INFINITY }];
const steps = [{ setWeight: 10 }, { pause: { duration: '1m' } }, { setWeight: 50 }, { pause: {} }];

const serve = (m: Model, adapter: string): void => {
  m.former = m.stable;
  m.stable = adapter;
  drop(m);
};
const drop = (m: Model): void => {
  Object.assign(m, { canary: undefined, weight: 0, step: 0, waited: 0, gaveUp: false });
};

/** What follows by itself. */
const settle = (m: Model): void => {
  const isReady = m.ready.has(m.spec);
  if (m.spec === m.stable) drop(m);
  else if (m.stable === undefined) {
    if (isReady && !m.paused) serve(m, m.spec);
  } else {
    if (m.canary !== m.spec) {
      drop(m);
      m.canary = m.spec;
    }
    if (m.gaveUp || m.paused || !isReady) return;
    for (let next = plan[m.step]; next !== undefined && m.canary !== m.former; next = plan[m.step]) {
      if (next.pause !== undefined && m.waited < next.pause) return;
      m.weight = next.weight ?? m.weight;
      m.step++;
      m.waited = 0;
    }
    serve(m, m.canary);
  }
};

const phaseOf = (m: Model): string => {
  if (m.spec === m.stable) return 'Healthy';
  if (m.gaveUp) return 'Degraded';
  const isReady = m.ready.has(m.spec);
  if (m.paused && (isReady || m.stable !== undefined)) return 'Paused';
  if (isReady) return 'Paused';
  return m.missed < deadline ? 'Progressing' : 'Degraded';
};
const isWaiting = (m: Model): boolean =>
  !m.ready.has(m.spec) && m.spec !== m.stable && !m.gaveUp && (!m.paused || m.stable === undefined);

/** Something that happens to both; afterwards both must be in the same state. */
class Event implements fc.Command<Model, DecisionWorld> {
  readonly name: string;
  readonly expected: (m: Model) => void;
  readonly real: (world: DecisionWorld) => unknown;

  constructor(name: string, expected: (m: Model) => void, real: (world: DecisionWorld) => unknown) {
    this.name = name;
    this.expected = expected;
    this.real = real;
  }

  check(): boolean {
    return true;
  }
  run(m: Model, world: DecisionWorld): void {
    this.expected(m);
    settle(m);
    if (!isWaiting(m)) m.missed = 0;
    this.real(world);
    const { phase, stable, canary, weights, step } = world.status ?? {};
    expect({
      phase,
      stable: stable?.adapter,
      canary: canary?.adapter,
      weight: weights?.canary,
      step: step?.index,
    }).toEqual({
      phase: phaseOf(m),
      stable: m.stable,
      canary: m.canary,
      weight: m.weight,
      step: m.canary === undefined ? undefined : m.step,
    });
  }
  toString(): string {
    return this.name;
  }
}

const edit = (m: Model, change: Partial<Model>): void => void Object.assign(m, change, { missed: 0 });
const isPausing = (m: Model): boolean =>
  m.canary !== undefined && !m.gaveUp && !m.paused && m.ready.has(m.spec);

/** Time belongs to what the rollout was in meanwhile. */
const pass = (m: Model, ms: number): void => {
  if (isPausing(m)) m.waited += ms;
  if (isWaiting(m)) m.missed += ms;
};

const adapters = ['v1', 'v2', 'v3'];
const events = [
  ...adapters.flatMap((name) => [
    new Event(
      `spec names ${name}`,
      (m) => edit(m, { spec: name }),
      (w) => w.edit({ adapter: name }).decide(),
    ),
    new Event(
      `${name} is ready`,
      (m) => m.ready.add(name),
      (w) => w.adapter(name, { state: 'Resident' }).decide(),
    ),
    new Event(
      `${name} is ready, a minute later`,
      (m) => {
        pass(m, 60 * second);
        m.ready.add(name);
      },
      (w) => w.adapter(name, { state: 'Resident' }).decide({ elapsedMs: 60 * second }),
    ),
    new Event(
      `${name} is lost`,
      (m) => m.ready.delete(name),
      (w) => w.adapter(name, { state: 'Pending' }).decide(),
    ),
  ]),
  ...[true, false].map(
    (paused) =>
      new Event(
        `paused: ${paused}`,
        (m) => edit(m, { paused }),
        (w) => w.edit({ paused }).decide(),
      ),
  ),
  ...[20 * second, 60 * second, 590 * second].map(
    (ms) =>
      new Event(
        `${ms} ms`,
        (m) => pass(m, ms),
        (w) => w.decide({ elapsedMs: ms }),
      ),
  ),
  new Event(
    'promote',
    (m) => {
      if (m.canary !== undefined && !m.gaveUp && plan[m.step]?.pause !== undefined)
        m.waited = Number.POSITIVE_INFINITY;
    },
    (w) => w.decide({ verb: 'promote' }),
  ),
  new Event(
    'promote --full',
    (m) => {
      if (m.canary !== undefined && !m.gaveUp) m.step = plan.length;
    },
    (w) => w.decide({ verb: 'promote-full' }),
  ),
  new Event(
    'abort',
    (m) => {
      if (m.canary !== undefined) Object.assign(m, { gaveUp: true, weight: 0 });
    },
    (w) => w.decide({ verb: 'abort' }),
  ),
  new Event(
    'retry',
    (m) => {
      if (m.gaveUp) Object.assign(m, { gaveUp: false, step: 0, waited: 0, missed: 0 });
    },
    (w) => w.decide({ verb: 'retry' }),
  ),
];

const start = () => {
  const real = new DecisionWorld(steps);
  for (const name of adapters) real.adapter(name, { state: 'Pending' });
  real.decide();
  const model: Model = {
    spec: 'v1',
    paused: false,
    ready: new Set(),
    stable: undefined,
    former: undefined,
    canary: undefined,
    weight: 0,
    step: 0,
    waited: 0,
    missed: 0,
    gaveUp: false,
  };
  return { model, real };
};

describe('decide', () => {
  it('does what a small model expects, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(
        fc.commands(
          events.map((event) => fc.constant(event)),
          { maxCommands: 60, size: 'max' },
        ),
        (commands) => {
          fc.modelRun(start, commands);
        },
      ),
      { numRuns: 400 },
    );
  });
});
