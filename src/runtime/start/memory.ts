import type { EngineClient } from '../engine/client/client.ts';
import { memoryLevels } from '../machine/memory-levels.ts';
import { marginOf } from '../pressure/decide.ts';
import { MemoryPressure, type PressureView } from '../pressure/memory-pressure.ts';
import { processBytes, shortPlan } from '../pressure/start-check.ts';
import type { Residency } from '../residency/manager.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';
import type { Encoder } from './heads.ts';
import type { RuntimeParts } from './parts.ts';
import { identityOf } from './serving.ts';

export type Memory = {
  readonly view: () => PressureView;
  /** What a limit of memory leaves less for than the budgets are, as sentences for people. */
  readonly warnings: () => readonly string[];
  /** Something was let go of a short time ago: copies for canaries can wait. */
  readonly isShort: () => boolean;
  /** @throws MEMORY_PRESSURE */
  readonly admit: (isGuaranteed: boolean) => void;
  /** The base model is loaded: what it takes is known. */
  readonly modelLoaded: () => void;
};

type Users = {
  readonly engine: Pick<EngineClient, 'state' | 'now' | 'info' | 'limit'>;
  readonly residency: Pick<Residency, 'memoryUse' | 'limitMemory'>;
  readonly quotas: Pick<Quotas, 'guaranteed'>;
  /** Of classifiers, in a process of its own. */
  readonly encoder: Pick<Encoder, 'budgetBytes' | 'residentBytes'> | undefined;
};

/** Follows the memory of this node; the stack ends that. */
export const openMemory = (
  { settings, clock, logger }: RuntimeParts,
  { engine, residency, quotas, encoder }: Users,
  stack: AsyncDisposableStack,
): Memory => {
  const read = memoryLevels();
  const kvUse = () => ({ used: engine.now?.kvHeldBytes ?? 0, sparable: engine.now?.kvSparableBytes ?? 0 });
  const pressure = new MemoryPressure({
    clock,
    log: logger,
    read,
    kv: () => {
      const { kv } = identityOf(engine);
      if (engine.state !== 'ready' || kv === undefined) return undefined;
      const { used, sparable } = kvUse();
      return {
        fullBytes: kv.budgetBytes,
        usedBytes: used,
        sparableBytes: sparable,
        leavingBytes: 0,
        leastBytes: 0,
        guaranteedBytes: quotas.guaranteed('kvMemory'),
      };
    },
    adapters: () => {
      const { largestBytes, ...use } = residency.memoryUse();
      return {
        ...use,
        fullBytes: settings.adapterMemory,
        leastBytes: largestBytes,
        guaranteedBytes: quotas.guaranteed('adapterMemory'),
      };
    },
    limit: ({ kvBytes, adapterBytes, isFull }) => {
      engine.limit({ kvBytes, givesBack: !isFull });
      residency.limitMemory(adapterBytes);
    },
  });
  stack.defer(() => pressure.close());

  let warning: string | undefined;
  /** Whoever keeps keys and values has structures as well. */
  const check = (base: string, kvBytes: number, baseBytes: (usedBytes: number) => number): void => {
    // The machine is there for others as well: what it has now says nothing about what it will have.
    const limits = read().levels.filter((level) => level.own);
    const [own] = limits.toSorted((a, b) => a.limitBytes - b.limitBytes);
    if (own === undefined) return;
    const { limitBytes, usedBytes, name: level } = own;
    warning = shortPlan(
      {
        limitBytes,
        baseBytes: baseBytes(usedBytes),
        kvBytes,
        adapterBytes: settings.adapterMemory,
        structureBytes: kvBytes === 0 ? 0 : settings.structureMemory,
        classifierBytes: encoder?.budgetBytes ?? 0,
        marginBytes: marginOf(own),
      },
      { level, base },
    );
    if (warning !== undefined) logger.warn({ limitBytes, usedBytes, warning }, 'the memory limit is too low');
  };
  check('the processes', settings.kvMemory === 'auto' ? 0 : settings.kvMemory, () => processBytes);
  return {
    view: () => pressure.view,
    warnings: () => (warning === undefined ? [] : [warning]),
    isShort: () => pressure.isShort,
    admit: (isGuaranteed) => pressure.admit(isGuaranteed),
    modelLoaded: () => {
      const beside = residency.memoryUse().usedBytes + kvUse().used + (encoder?.residentBytes() ?? 0);
      const kvBytes = identityOf(engine).kv?.budgetBytes ?? 0;
      check('the base model and the processes', kvBytes, (used) => Math.max(0, used - beside));
    },
  };
};
