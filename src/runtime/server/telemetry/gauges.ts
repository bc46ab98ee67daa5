import type { RolloutObject } from '../../../api/objects.ts';
import { rolloutGauges } from '../../../rollout/gauges.ts';
import type { MetricFamily } from '../../../telemetry/exposition.ts';
import type { EngineLoad } from '../../engine/engine.ts';
import type { QuotaView } from '../../serving/quotas/quotas.ts';
import { metrics } from './names.ts';

/** What all of the runtime takes of its disk, and what the disk lost. */
export type StoreGauges = {
  readonly usedBytes: number;
  readonly budgetBytes: number;
  readonly damaged: number;
  readonly awaited: number;
};

/** The state of the runtime at the moment of a scrape. */
export type RuntimeGauges = {
  readonly ready: boolean;
  /** Whether there is a stream with the operator; undefined where none is followed. */
  readonly connected: boolean | undefined;
  readonly provider: {
    /** '' before the base model was loaded. */
    readonly inUse: string;
    readonly refused: readonly string[];
    readonly operators: Readonly<Record<string, number>>;
  };
  readonly memory: { readonly usedBytes: number; readonly budgetBytes: number };
  readonly disk: { readonly usedBytes: number; readonly budgetBytes: number };
  readonly store: StoreGauges;
  /** Of the base model while it is fetched, else 0. */
  readonly model: { readonly receivedBytes: number; readonly totalBytes: number };
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
  /** What became of files that might have come as deltas. */
  readonly deltas: { readonly results: Readonly<Record<string, number>>; readonly savedBytes: number };
  /** Of namespaces with a policy, by limit. */
  readonly quotas: readonly QuotaView[];
  readonly lora: {
    /** How many adapters may be Resident at a time. */
    readonly max: number;
    /** Names that clients send as `model` and that are truly Resident; endpoint pickers route by them. */
    readonly running: readonly string[];
    /** Names that requests wait for now. */
    readonly waiting: readonly string[];
  };
};

const gauge = (metric: { name: string; help: string }, value: number): MetricFamily => ({
  ...metric,
  samples: [{ labels: {}, value }],
});

const perRollout = (
  metric: { name: string; help: string },
  rollouts: RuntimeGauges['rollouts'],
  value: (r: RuntimeGauges['rollouts'][number]) => number,
): MetricFamily => ({
  ...metric,
  samples: rollouts.map((r) => ({ labels: { rollout: r.key }, value: value(r) })),
});

const perQuota = (
  metric: { name: string; help: string },
  quotas: readonly QuotaView[],
  value: (quota: QuotaView) => number | undefined,
): MetricFamily => ({
  ...metric,
  samples: quotas.flatMap((quota) => {
    const { namespace, limit } = quota;
    const amount = value(quota);
    return amount === undefined ? [] : [{ labels: { namespace, limit }, value: amount }];
  }),
});

const counter = (metric: { name: string; help: string }, value: number): MetricFamily => ({
  ...gauge(metric, value),
  type: 'counter',
});

const perResult = (
  metric: { name: string; help: string },
  results: Readonly<Record<string, number>>,
): MetricFamily => ({
  ...metric,
  type: 'counter',
  samples: Object.entries(results).map(([result, value]) => ({ labels: { result }, value })),
});

const shareUsed = (engine: EngineLoad | undefined): number =>
  engine === undefined || engine.kvBudgetBytes === 0 ? 0 : engine.kvUsedBytes / engine.kvBudgetBytes;

/** Whoever decides tells where rollouts stand: for those of an operator, its leader does. */
const decidedRollouts = (rollouts: RuntimeGauges['rollouts']): MetricFamily[] => {
  const decided = rollouts.flatMap(({ object }) => object ?? []);
  return decided.length === 0 ? [] : rolloutGauges(decided);
};

const providerFamilies = ({ inUse, refused, operators }: RuntimeGauges['provider']): MetricFamily[] => [
  { ...metrics.provider, samples: inUse === '' ? [] : [{ labels: { provider: inUse }, value: 1 }] },
  { ...metrics.refusedProviders, samples: refused.map((provider) => ({ labels: { provider }, value: 1 })) },
  {
    ...metrics.operators,
    samples: Object.entries(operators).map(([provider, value]) => ({ labels: { provider }, value })),
  },
];

/** Everything that is read at a scrape, as gauges. `nowMs` is wall time. */
export const metricFamilies = (
  gauges: RuntimeGauges,
  build: { readonly version: string; readonly instance: string },
  nowMs: number,
): MetricFamily[] => [
  gauge(metrics.ready, gauges.ready ? 1 : 0),
  {
    ...metrics.connected,
    samples: gauges.connected === undefined ? [] : [{ labels: {}, value: Number(gauges.connected) }],
  },
  gauge(metrics.memoryUsed, gauges.memory.usedBytes),
  gauge(metrics.memoryBudget, gauges.memory.budgetBytes),
  gauge(metrics.diskUsed, gauges.disk.usedBytes),
  gauge(metrics.diskBudget, gauges.disk.budgetBytes),
  gauge(metrics.nodeDiskUsed, gauges.store.usedBytes),
  gauge(metrics.nodeDiskBudget, gauges.store.budgetBytes),
  counter(metrics.damaged, gauges.store.damaged),
  gauge(metrics.damagedAwaited, gauges.store.awaited),
  gauge(metrics.modelReceived, gauges.model.receivedBytes),
  gauge(metrics.modelTotal, gauges.model.totalBytes),
  {
    ...metrics.adapters,
    samples: Object.entries(gauges.adapters).map(([state, value]) => ({ labels: { state }, value })),
  },
  perRollout(metrics.rolloutWeight, gauges.rollouts, (r) => r.weight),
  perRollout(metrics.rolloutEffectiveWeight, gauges.rollouts, (r) => r.effectiveWeight),
  ...providerFamilies(gauges.provider),
  { ...metrics.buildInfo, samples: [{ labels: { ...build }, value: 1 }] },
  {
    ...metrics.loraRequests,
    samples: [
      {
        labels: {
          max_lora: String(gauges.lora.max),
          running_lora_adapters: gauges.lora.running.join(','),
          waiting_lora_adapters: gauges.lora.waiting.join(','),
        },
        value: nowMs / 1000,
      },
    ],
  },
  gauge(metrics.requestsRunning, gauges.requests.running),
  gauge(metrics.requestsWaiting, gauges.requests.waiting),
  gauge(metrics.kvCacheUsage, shareUsed(gauges.engine)),
  counter(metrics.prefixQueries, gauges.engine?.promptTokens ?? 0),
  counter(metrics.prefixHits, gauges.engine?.cachedTokens ?? 0),
  counter(metrics.drafts, gauges.engine?.speculation.drafts ?? 0),
  counter(metrics.draftTokens, gauges.engine?.speculation.draftTokens ?? 0),
  counter(metrics.acceptedTokens, gauges.engine?.speculation.acceptedTokens ?? 0),
  counter(metrics.decodeSteps, gauges.engine?.decodeSteps ?? 0),
  counter(metrics.decodedTokens, gauges.engine?.decodedTokens ?? 0),
  counter(metrics.preemptions, gauges.engine?.preemptions ?? 0),
  counter(metrics.overdueTurns, gauges.engine?.overdueTurns ?? 0),
  gauge(metrics.fairnessJain, gauges.engine?.fairness.jain ?? 1),
  gauge(metrics.fairnessLag, gauges.engine?.fairness.lag ?? 0),
  perQuota(metrics.namespaceUsed, gauges.quotas, ({ used }) => used),
  perQuota(metrics.namespaceGuaranteed, gauges.quotas, ({ guaranteed }) => guaranteed),
  perQuota(metrics.namespaceLimit, gauges.quotas, ({ most }) => (most === Infinity ? undefined : most)),
  { ...perQuota(metrics.namespaceRefused, gauges.quotas, ({ refused }) => refused), type: 'counter' },
  perResult(metrics.mirrored, gauges.mirrored),
  perResult(metrics.deltas, gauges.deltas.results),
  counter(metrics.deltaSavedBytes, gauges.deltas.savedBytes),
  ...decidedRollouts(gauges.rollouts),
];
