import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Artifacts, createArtifacts } from '../../artifact/artifacts.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { credentialsIn } from '../../artifact/docker-config.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { ContentStore } from '../../artifact/store.ts';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';
import type { PullCredentials } from '../sync/pull-credentials.ts';

type RegistryParts = { readonly clock: Clock; readonly random: () => number };

/** How registries are spoken to. */
export const registryOptions = (
  { insecureRegistries, registryConfig }: Settings,
  { clock, random }: RegistryParts,
): Omit<RegistryOptions, 'attempts'> => ({
  fetch,
  clock,
  random,
  idleMs,
  insecureHosts: insecureRegistries,
  credentials: credentialsIn(registryConfig),
});

/** Attempts in a row without progress before a fetch is reported as failed; residency tries again later by itself. */
const attempts = 5;
/** Milliseconds without a byte after which a connection to a registry counts as broken. */
const idleMs = 20_000;

/**
 * Reads every stored blob once, in the background and off this thread; what is damaged is set aside and fetched again
 * when it is needed. The stack stops it.
 */
export const scrubInBackground = (store: ContentStore, logger: Logger, stack: AsyncDisposableStack): void => {
  const stop = new AbortController();
  const scrub = async (): Promise<void> => {
    try {
      for (const damage of await store.scrub(stop.signal))
        logger.warn(damage, 'a stored artifact is damaged and was set aside');
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'the check of stored artifacts did not end');
    }
  };
  const scrubbing = scrub();
  stack.defer(async () => {
    stop.abort();
    await scrubbing;
  });
};

/**
 * Opens the content store of a runtime and the sources behind it; the stack closes them.
 * @throws STORE_LOCKED when another process owns the folder
 */
export const openStore = async (
  settings: Settings,
  parts: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly random: () => number;
    readonly pulls: PullCredentials;
  },
  stack: AsyncDisposableStack,
): Promise<{ readonly store: ContentStore; readonly artifacts: Artifacts }> => {
  const { clock, logger, random, pulls } = parts;
  const disk = stack.use(startDiskThread());
  const store = stack.use(
    await ContentStore.open({
      root: join(settings.dataDir, 'store'),
      budgetBytes: settings.adapterDisk,
      disk,
    }),
  );
  for (const damage of store.damage) logger.warn(damage, 'a damaged artifact was taken out of the store');
  const artifacts = createArtifacts({
    store,
    disk,
    importRoots: settings.importRoots,
    registry: { ...registryOptions(settings, { clock, random }), attempts },
    loginFor: pulls.loginFor,
    onQuarantine: (digest, reason) =>
      logger.warn({ digest, reason }, 'a stored artifact is damaged and was set aside'),
  });
  return { store, artifacts };
};
