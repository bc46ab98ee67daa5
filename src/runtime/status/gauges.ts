import type { RuntimeStatus } from '../admin/views.ts';
import type { EngineLoad } from '../engine/engine.ts';
import { cacheBlockTokens, type RuntimeGauges } from '../server/telemetry/gauges.ts';
import { pickerNames } from './picker-names.ts';

/** Requests under way; `inEngine` run there or wait for their turn, `forAdapter` wait until an adapter is in RAM. */
export type Load = {
  readonly inEngine: number;
  readonly maxConcurrent: number;
  readonly forAdapter: number;
  /** Of the engine process; undefined when it did nothing yet. */
  readonly engine: EngineLoad | undefined;
  /** Copies of requests that canaries were given, by what became of them. */
  readonly mirrored: Readonly<Record<string, number>>;
  readonly deltas: RuntimeGauges['deltas'];
  readonly peers: RuntimeGauges['peers'];
  readonly prefetched: RuntimeGauges['prefetched'];
  readonly sessions?: RuntimeGauges['sessions'];
  readonly classifiers?: RuntimeGauges['classifiers'];
  readonly certificateUntil?: RuntimeGauges['certificateUntil'];
  /** Limits of namespaces, and what was refused by them. */
  readonly quotas: RuntimeGauges['quotas'];
  readonly store: RuntimeGauges['store'];
};

/**
 * Requests that have a place. What the engine said is up to 250 ms old: where nothing waited there, whatever came since has a
 * place as long as there are rows.
 */
const runningOf = ({ inEngine, maxConcurrent, engine }: Load): number => {
  const places = engine === undefined || engine.waiting === 0 ? maxConcurrent : engine.running;
  return Math.min(inEngine, places);
};

/** What the memory for keys and values holds; 0 before the base model was loaded, and where it does not generate. */
const blocksOf = ({ keysAndValues: kv }: RuntimeStatus): number =>
  kv === undefined ? 0 : Math.floor(kv.budgetBytes / (kv.bytesPerToken * cacheBlockTokens));

/** The gauges of a scrape, from the status of the runtime. */
export const gaugesOf = (status: RuntimeStatus, load: Load): RuntimeGauges => {
  const adapters: Record<string, number> = {};
  for (const { state } of status.adapters) adapters[state] = (adapters[state] ?? 0) + 1;
  const running = runningOf(load);
  return {
    ready: status.engine === 'ready',
    provider: {
      inUse: status.executionProvider,
      refused: status.refusedProviders.map(({ provider }) => provider),
      operators: status.operators,
    },
    // A plan that is followed without an operator has an address of ''.
    connected: status.operator?.address ? status.operator.state === 'connected' : undefined,
    memory: status.memory,
    pressure: status.memoryPressure,
    disk: status.disk,
    store: load.store,
    model: status.model,
    adapters,
    rollouts: status.rollouts.map(({ key, weight, effectiveWeight, object }) => ({
      key,
      weight,
      effectiveWeight,
      ...(object === undefined ? {} : { object }),
    })),
    requests: { running, waiting: load.inEngine - running + load.forAdapter },
    engine: load.engine,
    mirrored: load.mirrored,
    deltas: load.deltas,
    peers: load.peers,
    prefetched: load.prefetched,
    sessions: load.sessions,
    classifiers: load.classifiers,
    certificateUntil: load.certificateUntil,
    quotas: load.quotas,
    lora: pickerNames(status),
    cacheBlocks: blocksOf(status),
  };
};
