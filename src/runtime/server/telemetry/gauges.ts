import type { RolloutObject } from '../../../api/objects.ts';
import { rolloutGauges } from '../../../rollout/gauges.ts';
import type { MetricFamily } from '../../../telemetry/exposition.ts';
import type { EngineLoad } from '../../engine/engine.ts';
import type { PressureView } from '../../pressure/memory-pressure.ts';
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
  readonly pressure: PressureView;
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
  /** Blobs of runtimes of the site; undefined where this one takes no part. */
  readonly peers:
    | {
        readonly came: Readonly<Record<string, number>>;
        readonly sent: number;
        readonly aside: Readonly<Record<string, number>>;
      }
    | undefined;
  /** What was brought to the disk and into RAM before it was asked for. */
  readonly prefetched: Readonly<
    Record<
      'disk' | 'ram',
      { readonly broughtBytes: number; readonly wastedBytes: number; readonly hits: number }
    >
  >;
  /** Sessions that routes keep decisions for, and tokens of such by what became of them. Undefined: there are none here. */
  readonly sessions?:
    | { readonly sessions: number; readonly tokens: Readonly<Record<string, number>> }
    | undefined;
  /** When the certificate of the request ports ends, wall time in milliseconds. Undefined: there is none. */
  readonly certificateUntil?: number | undefined;
  /** Classifiers of routes. Undefined: there are none here. */
  readonly classifiers?:
    | {
        /** Questions to the encoder, by code. */
        readonly answers: Readonly<Record<string, number>>;
        readonly states: Readonly<Record<string, number>>;
      }
    | undefined;
  /** Of namespaces with a policy, by limit. */
  readonly quotas: readonly QuotaView[];
  /** What endpoint pickers route by: names that clients send as `model`. */
  readonly lora: {
    /** As many names as are listed, and one more for each adapter that still fits into RAM. */
    readonly max: number;
    /** Of adapters that are truly Resident, and of rollouts that serve them. */
    readonly running: readonly string[];
    /** Of those that requests wait for now. */
    readonly waiting: readonly string[];
  };
  /** Blocks of `cacheBlockTokens` tokens that the memory for keys and values holds. */
  readonly cacheBlocks: number;
};

/** Tokens of a block in what pickers are told of the memory for keys and values, which here is not cut into blocks: vLLM's default. */
export const cacheBlockTokens = 16;

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

const perTier = (
  metric: { name: string; help: string },
  { disk, ram }: RuntimeGauges['prefetched'],
  value: (totals: RuntimeGauges['prefetched']['ram']) => number,
): MetricFamily => ({
  ...metric,
  type: 'counter',
  samples: [
    { labels: { tier: 'disk' }, value: value(disk) },
    { labels: { tier: 'ram' }, value: value(ram) },
  ],
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

const peerFamilies = (peers: RuntimeGauges['peers']): MetricFamily[] =>
  peers === undefined
    ? []
    : [
        perResult(metrics.blobBytes, peers.came),
        counter(metrics.peerSentBytes, peers.sent),
        perResult(metrics.peersAside, peers.aside),
      ];

const classifierFamilies = (
  { answers, states }: RuntimeGauges['classifiers'] = { answers: {}, states: {} },
): MetricFamily[] => [
  {
    ...metrics.classifierAnswers,
    type: 'counter',
    samples: Object.entries(answers).map(([code, value]) => ({ labels: { code }, value })),
  },
  {
    ...metrics.classifiers,
    samples: Object.entries(states).map(([state, value]) => ({ labels: { state }, value })),
  },
];

const pressureFamilies = (pressure: PressureView): MetricFamily[] => {
  const { level, limitBytes, usedBytes, adapterBudgetBytes, kvBudgetBytes } = pressure;
  const ofLevel = (value: number) => (level === '' ? [] : [{ labels: { level }, value }]);
  return [
    { ...metrics.workingSet, samples: ofLevel(usedBytes) },
    { ...metrics.memoryLimit, samples: ofLevel(limitBytes) },
    {
      ...metrics.budgetNow,
      samples: [
        { labels: { budget: 'adapters' }, value: adapterBudgetBytes },
        { labels: { budget: 'kv' }, value: kvBudgetBytes },
      ],
    },
    counter(metrics.shrinks, pressure.shrinks),
    counter(metrics.memoryRefused, pressure.refused),
    counter(metrics.memoryKills, pressure.kills),
  ];
};

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
  ...pressureFamilies(gauges.pressure),
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
  {
    ...metrics.cacheConfig,
    samples: [
      {
        labels: { block_size: String(cacheBlockTokens), num_gpu_blocks: String(gauges.cacheBlocks) },
        value: 1,
      },
    ],
  },
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
  ...peerFamilies(gauges.peers),
  perTier(metrics.prefetchHits, gauges.prefetched, ({ hits }) => hits),
  perTier(metrics.prefetchedBytes, gauges.prefetched, ({ broughtBytes }) => broughtBytes),
  perTier(metrics.prefetchWastedBytes, gauges.prefetched, ({ wastedBytes }) => wastedBytes),
  {
    ...metrics.certificateUntil,
    samples:
      gauges.certificateUntil === undefined ? [] : [{ labels: {}, value: gauges.certificateUntil / 1000 }],
  },
  gauge(metrics.sessions, gauges.sessions?.sessions ?? 0),
  perResult(metrics.sessionTokens, gauges.sessions?.tokens ?? {}),
  ...classifierFamilies(gauges.classifiers),
  ...decidedRollouts(gauges.rollouts),
];
