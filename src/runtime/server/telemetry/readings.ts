import type { RolloutObject } from '../../../api/objects.ts';
import { rolloutReadings } from '../../../rollout/readings.ts';
import type { Reading } from '../../../telemetry/exposition.ts';
import type { EngineLoad } from '../../engine/engine.ts';
import { metrics } from './names.ts';

/** The state of the runtime at the moment of a scrape. */
export type Readings = {
  readonly ready: boolean;
  readonly memory: { readonly usedBytes: number; readonly budgetBytes: number };
  readonly disk: { readonly usedBytes: number; readonly budgetBytes: number };
  /** Number of adapters in each state. */
  readonly adapters: Readonly<Record<string, number>>;
  readonly rollouts: readonly {
    readonly key: string;
    readonly weight: number;
    readonly effectiveWeight: number;
    /** As this runtime decided about it; absent where an operator does. */
    readonly object?: RolloutObject;
  }[];
  readonly requests: { readonly running: number; readonly waiting: number };
  /** Undefined when the engine process did nothing yet. */
  readonly engine: EngineLoad | undefined;
  /** Copies of requests that canaries were given, by what became of them. */
  readonly mirrored: Readonly<Record<string, number>>;
  readonly lora: {
    /** How many adapters may be Resident at a time. */
    readonly max: number;
    /** Names that clients send as `model` and that are truly Resident; endpoint pickers route by them. */
    readonly running: readonly string[];
    /** Names that requests wait for now. */
    readonly waiting: readonly string[];
  };
};

const gauge = (metric: { name: string; help: string }, value: number): Reading => ({
  ...metric,
  samples: [{ labels: {}, value }],
});

const perRollout = (
  metric: { name: string; help: string },
  rollouts: Readings['rollouts'],
  value: (r: Readings['rollouts'][number]) => number,
): Reading => ({
  ...metric,
  samples: rollouts.map((r) => ({ labels: { rollout: r.key }, value: value(r) })),
});

const counter = (metric: { name: string; help: string }, value: number): Reading => ({
  ...gauge(metric, value),
  type: 'counter',
});

const shareUsed = (engine: EngineLoad | undefined): number =>
  engine === undefined || engine.kvBudgetBytes === 0 ? 0 : engine.kvUsedBytes / engine.kvBudgetBytes;

/** Whoever decides tells where rollouts stand: for those of an operator, its leader does. */
const decidedReadings = (rollouts: Readings['rollouts']): Reading[] => {
  const decided = rollouts.flatMap(({ object }) => object ?? []);
  return decided.length === 0 ? [] : rolloutReadings(decided);
};

/** Everything that is read at a scrape, as gauges. `nowMs` is wall time. */
export const gaugesOf = (
  readings: Readings,
  build: { readonly version: string; readonly instance: string },
  nowMs: number,
): Reading[] => [
  gauge(metrics.ready, readings.ready ? 1 : 0),
  gauge(metrics.memoryUsed, readings.memory.usedBytes),
  gauge(metrics.memoryBudget, readings.memory.budgetBytes),
  gauge(metrics.diskUsed, readings.disk.usedBytes),
  gauge(metrics.diskBudget, readings.disk.budgetBytes),
  {
    ...metrics.adapters,
    samples: Object.entries(readings.adapters).map(([state, value]) => ({ labels: { state }, value })),
  },
  perRollout(metrics.rolloutWeight, readings.rollouts, (r) => r.weight),
  perRollout(metrics.rolloutEffectiveWeight, readings.rollouts, (r) => r.effectiveWeight),
  { ...metrics.buildInfo, samples: [{ labels: { ...build }, value: 1 }] },
  {
    ...metrics.loraRequests,
    samples: [
      {
        labels: {
          max_lora: String(readings.lora.max),
          running_lora_adapters: readings.lora.running.join(','),
          waiting_lora_adapters: readings.lora.waiting.join(','),
        },
        value: nowMs / 1000,
      },
    ],
  },
  gauge(metrics.requestsRunning, readings.requests.running),
  gauge(metrics.requestsWaiting, readings.requests.waiting),
  gauge(metrics.kvCacheUsage, shareUsed(readings.engine)),
  counter(metrics.decodeSteps, readings.engine?.decodeSteps ?? 0),
  counter(metrics.decodedTokens, readings.engine?.decodedTokens ?? 0),
  counter(metrics.preemptions, readings.engine?.preemptions ?? 0),
  {
    ...metrics.mirrored,
    type: 'counter',
    samples: Object.entries(readings.mirrored).map(([result, value]) => ({
      labels: { result },
      value,
    })),
  },
  ...decidedReadings(readings.rollouts),
];
