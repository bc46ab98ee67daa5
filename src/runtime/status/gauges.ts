import type { RuntimeStatus } from '../admin/views.ts';
import type { EngineLoad } from '../engine/engine.ts';
import type { AdapterView } from '../residency/adapter-view.ts';
import type { RuntimeGauges } from '../server/telemetry/gauges.ts';

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
  /** Limits of namespaces, and what was refused by them. */
  readonly quotas: RuntimeGauges['quotas'];
  readonly store: RuntimeGauges['store'];
};

const nameOf = ({ key }: AdapterView): string => key.slice(key.indexOf('/') + 1);

/** How many adapters the RAM budget holds, as far as the sizes of those in it tell; for pickers that balance by it. */
const capacityOf = ({ adapters, memory }: RuntimeStatus): number => {
  const inRam = adapters.filter((a) => a.residentBytes > 0);
  const largest = Math.max(0, ...inRam.map((a) => a.residentBytes));
  return largest === 0
    ? Math.max(1, adapters.length)
    : Math.max(inRam.length, Math.floor(memory.budgetBytes / largest));
};

/**
 * Requests that have a place. What the engine said is up to 250 ms old: where nothing waited there, whatever came since has a
 * place as long as there are rows.
 */
const runningOf = ({ inEngine, maxConcurrent, engine }: Load): number => {
  const places = engine === undefined || engine.waiting === 0 ? maxConcurrent : engine.running;
  return Math.min(inEngine, places);
};

/** The gauges of a scrape, from the status of the runtime. */
export const gaugesOf = (status: RuntimeStatus, load: Load): RuntimeGauges => {
  const adapters: Record<string, number> = {};
  for (const { state } of status.adapters) adapters[state] = (adapters[state] ?? 0) + 1;
  const inState = (...states: string[]): string[] =>
    status.adapters.filter((a) => states.includes(a.state)).map(nameOf);
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
    quotas: load.quotas,
    lora: {
      max: capacityOf(status),
      running: inState('Resident'),
      waiting: load.forAdapter > 0 ? inState('Fetching', 'Stored', 'Compiled', 'Loaded') : [],
    },
  };
};
