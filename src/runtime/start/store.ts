import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Artifacts, createArtifacts } from '../../artifact/artifacts.ts';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import { credentialsIn } from '../../artifact/docker-config.ts';
import { type Former, Grants } from '../../artifact/grants.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { ContentStore } from '../../artifact/store.ts';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';
import type { PullCredentials } from '../sync/pull-credentials.ts';
import type { NodeEgress } from './egress.ts';
import type { NodeDisk } from './node-disk.ts';

type RegistryParts = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly egress: Pick<NodeEgress, 'baseModel' | 'fetchFor'>;
};

/** How registries are spoken to. */
export const registryOptions = (
  { insecureRegistries, registryConfig }: Settings,
  { clock, random, egress }: RegistryParts,
): Omit<RegistryOptions, 'attempts'> => ({
  fetch: egress.baseModel,
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

type Opened = { readonly store: ContentStore; readonly disk: DiskThread };

/**
 * Opens the content store of a runtime; the stack closes it. Its lock is that of the data folder.
 * @throws STORE_LOCKED when another process owns the folder
 */
export const openStore = async (
  settings: Settings,
  { logger, nodeDisk }: { readonly logger: Logger; readonly nodeDisk: NodeDisk },
  stack: AsyncDisposableStack,
): Promise<Opened> => {
  const disk = stack.use(startDiskThread());
  const root = storeRoot(settings);
  const budgetBytes = settings.adapterDisk;
  const store = stack.use(await ContentStore.open({ root, budgetBytes, within: nodeDisk.adapters, disk }));
  for (const trouble of store.caution.troubles)
    logger.warn({ trouble }, 'the store was not tidied up at its start');
  for (const damage of store.damage) logger.warn(damage, 'a damaged artifact was taken out of the store');
  return { store, disk };
};

/** The sources behind a store, and who may use what of it. `former`: what the plan of a version without grants had. */
export const openArtifacts = async (
  settings: Settings,
  parts: Opened &
    RegistryParts & {
      readonly logger: Logger;
      readonly former: readonly Former[];
      readonly pulls: PullCredentials;
    },
): Promise<Artifacts> => {
  const { store, disk, clock, logger, random, former, pulls, egress } = parts;
  const grants = await Grants.open(storeRoot(settings), store.list(), former, {
    caution: store.caution,
  });
  for (const damage of grants.damage)
    logger.warn(damage, 'the grants of an artifact are damaged and were set aside');
  return createArtifacts({
    store,
    disk,
    grants,
    importRoots: settings.importRoots,
    registry: { ...registryOptions(settings, { clock, random, egress }), attempts },
    loginFor: pulls.loginFor,
    fetchFor: egress.fetchFor,
    onQuarantine: (digest, reason) =>
      logger.warn({ digest, reason }, 'a stored artifact is damaged and was set aside'),
  });
};

const storeRoot = ({ dataDir }: Settings): string => join(dataDir, 'store');
