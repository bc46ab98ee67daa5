import { availableParallelism } from 'node:os';
import { createCompiler } from '../adapter/compiler.ts';
import type { Engine } from '../engine/engine.ts';
import { createResidency, type Residency } from '../residency/manager.ts';
import type { Trials } from '../serving/guard/trials.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';
import { rememberedResolutions, rememberedVerdicts } from '../state/remembered.ts';
import { openCompiled } from './compiled.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';
import { rememberUses } from './uses.ts';

/** The adapters of this runtime, compiled by worker threads; the stack closes both. */
export const openResidency = async (
  { settings, clock, logger }: RuntimeParts,
  { store, nodeDisk, artifacts, memory, remembered }: Disk,
  { engine, trials, quotas }: { readonly engine: Engine; readonly trials: Trials; readonly quotas: Quotas },
  stack: AsyncDisposableStack,
): Promise<Residency> => {
  const folder = await openCompiled('compiled', { settings, logger }, { store });
  const compiler = stack.use(
    createCompiler({
      folder,
      log: logger,
      workers: Math.max(1, Math.min(2, availableParallelism() - 1)),
      maxRank: settings.maxRank,
    }),
  );
  const residency = createResidency({
    artifacts,
    compiler,
    engine,
    clock,
    logger,
    verdicts: rememberedVerdicts(memory.verdicts, remembered.verdicts),
    resolutions: rememberedResolutions(memory.resolutions, remembered.resolutions),
    baseModel: settings.modelName,
    budgetBytes: settings.adapterMemory,
    memoryShare: (namespace) => quotas.shareOf(namespace, 'adapterMemory'),
    diskShare: (namespace) => quotas.shareOf(namespace, 'adapterDisk'),
    diskFree: () => store.freeBytes,
    dropLeftovers: () => store.clearLeftovers(),
    diskMarks: () => nodeDisk.marks(store.budget),
    maxParallelLoads: 2,
    maxParallelFetches: settings.maxParallelDownloads,
    admit: (uid, digest) => trials.admit(uid, digest),
    oneAdapter: settings.oneAdapter,
    evictionPolicy: settings.evictionPolicy,
    usedBefore: remembered.uses,
    prefetch:
      settings.prefetch === 'off'
        ? undefined
        : { downloads: settings.prefetch === 'on', hourlyBytes: settings.prefetchDownloads },
    random: Math.random,
  });
  stack.defer(() => residency.close());
  rememberUses({ clock, logger }, { memory }, residency, stack);
  nodeDisk.onShort((bytes) => residency.freeDisk(bytes));
  return residency;
};
