import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Source } from '../../api/source.ts';
import { type Artifacts, createArtifacts } from '../../artifact/artifacts.ts';
import type { DeltaTally } from '../../artifact/delta-tally.ts';
import type { DeltaOptions, DeltaOutcome } from '../../artifact/deltas.ts';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import { credentialsIn } from '../../artifact/docker-config.ts';
import { type Former, Grants } from '../../artifact/grants.ts';
import { KeptBundles } from '../../artifact/kept-bundles.ts';
import { PeerBlobs, type PeerOutcome } from '../../artifact/peer-blobs.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { RetryBudget } from '../../artifact/retry-budget.ts';
import { BlobSenders } from '../../artifact/senders.ts';
import type { SourceCredential } from '../../artifact/source-http.ts';
import { ContentStore } from '../../artifact/store.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import { Bandwidth } from '../../time/bandwidth.ts';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';
import { PeerHoldings } from '../peers/holdings.ts';
import type { SitePeers } from '../peers/peers.ts';
import type { PullCredentials } from '../sync/pull-credentials.ts';
import type { NodeEgress } from './egress.ts';
import type { NodeDisk } from './node-disk.ts';

/** What all downloads of a node share. */
export type Downloads = { readonly bandwidth: Bandwidth; readonly budget: RetryBudget };

export const openDownloads = (
  { downloadBandwidth, downloadTimeZone: zone, downloadRetries }: Settings,
  clock: Clock,
): Downloads => ({
  bandwidth: new Bandwidth({ ...downloadBandwidth, timeZone: zone }, clock),
  budget: new RetryBudget(downloadRetries, clock),
});

type RegistryParts = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly egress: Pick<NodeEgress, 'baseModel' | 'fetchFor'>;
  readonly downloads: Downloads;
};

/** How registries are spoken to. */
export const registryOptions = (
  { insecureRegistries, registryConfig, registryMirrors: mirrors }: Settings,
  { clock, random, egress, downloads }: RegistryParts,
): Omit<RegistryOptions, 'attempts'> => ({
  fetch: egress.baseModel,
  clock,
  random,
  idleMs,
  insecureHosts: insecureRegistries,
  credentials: credentialsIn(registryConfig),
  mirrors,
  ...downloads,
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
  const store = stack.use(
    await ContentStore.open({ root, budgetBytes, within: nodeDisk.adapters, disk, keepsUnfinished: true }),
  );
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
      readonly deltas: DeltaTally;
      readonly peers: SitePeers | undefined;
    },
): Promise<Artifacts> => {
  const { store, disk, clock, logger, random, former, pulls, egress, downloads, deltas, peers } = parts;
  const { caution } = store;
  const grants = await Grants.open(storeRoot(settings), store.list(), former, { caution });
  for (const damage of grants.damage)
    logger.warn(damage, 'the grants of an artifact are damaged and were set aside');
  if (peers !== undefined) peers.holdings = new PeerHoldings({ store, grants, desk: peers.desk });
  const senders = await BlobSenders.open(storeRoot(settings), store, clock.now(), { caution });
  // What nobody can go on with takes no room from others.
  await caution.run('what nobody can go on with', () =>
    store.dropUnfinished((digest) => senders.knows(digest)),
  );
  return createArtifacts({
    store,
    disk,
    grants,
    bundles: await KeptBundles.open(storeRoot(settings), store.list(), { caution }),
    importRoots: settings.importRoots,
    senders,
    registry: { ...registryOptions(settings, { clock, random, egress, downloads }), attempts },
    hubEndpoint: settings.hfEndpoint,
    loginFor: pulls.loginFor,
    credentialFor: (key, source) => pulls.credentialFor(key, source) ?? tokenOf(settings, source),
    fetchFor: egress.fetchFor,
    deltas: deltaOptions(settings, logger, deltas),
    peers: peers && peerBlobs(peers, parts),
    onQuarantine: (digest, reason) =>
      logger.warn({ digest, reason }, 'a stored artifact is damaged and was set aside'),
  });
};

const peerBlobs = (
  { find, desk, tally }: SitePeers,
  {
    store,
    disk,
    clock,
    random,
    logger,
  }: Opened & Pick<RegistryParts, 'clock' | 'random'> & { readonly logger: Logger },
): PeerBlobs => {
  const onOutcome = (outcome: PeerOutcome): void => {
    tally.count(outcome);
    if (outcome.result === 'peer') logger.debug(outcome, 'a blob came from a runtime of the site');
    else if (outcome.result === 'away') logger.debug(outcome, 'a runtime of the site does not answer');
    else if (outcome.result === 'liar')
      logger.warn(outcome, 'a runtime of the site sent other bytes than those of a digest');
  };
  return new PeerBlobs({ find, desk, store, disk, clock, random, onOutcome });
};

/** Undefined where they are switched off. */
const deltaOptions = (
  { deltaLookup: lookupMs }: Settings,
  logger: Logger,
  tally: DeltaTally,
): DeltaOptions | undefined => {
  const onOutcome = (outcome: DeltaOutcome): void => {
    tally.count(outcome);
    if (outcome.result === 'applied') logger.info(outcome, 'a file came as its changes to one that was here');
    else if (outcome.result === 'none') logger.debug(outcome, 'no delta fits; the files come whole');
    else {
      const { error: err, result: reason, ...about } = outcome;
      logger.warn({ ...about, reason, err }, 'a delta was not used; the file comes whole');
    }
  };
  return lookupMs === 0 ? undefined : { lookupMs, onOutcome };
};

/** The token that the administrator gave for the hub, read anew each time, so that another one is used at once. */
const tokenOf = ({ hfTokenFile: file }: Settings, { huggingFace }: Source): SourceCredential | undefined =>
  huggingFace === undefined || file === undefined
    ? undefined
    : {
        name: 'Authorization',
        value: async () => {
          const token = await tokenIn(file);
          return token === undefined ? undefined : { header: `Bearer ${token}`, lifetimeMs: 0 };
        },
      };

/**
 * A file that is not there has none.
 * @throws CREDENTIALS_INVALID; what is in the file is in no message
 */
const tokenIn = async (file: string): Promise<string | undefined> => {
  const advice = 'Put the token on the only line of a file that the process may read.';
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw new AdaptletError('CREDENTIALS_INVALID', `--hf-token-file ${file} cannot be read`, {
      advice,
      cause,
    });
  }
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new AdaptletError('CREDENTIALS_INVALID', `--hf-token-file ${file} is no token`, { advice });
};

const storeRoot = ({ dataDir }: Settings): string => join(dataDir, 'store');
