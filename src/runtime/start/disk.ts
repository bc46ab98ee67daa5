import { access, constants, mkdir } from 'node:fs/promises';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { DeltaTally } from '../../artifact/delta-tally.ts';
import type { ContentStore } from '../../artifact/store.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SitePeers } from '../peers/peers.ts';
import { formerAdapters } from '../state/former-adapters.ts';
import { type Memory, memoryOf, type Recalled, recall } from '../state/memory.ts';
import type { PullCredentials } from '../sync/pull-credentials.ts';
import type { NodeEgress } from './egress.ts';
import { NodeDisk } from './node-disk.ts';
import type { RuntimeParts } from './parts.ts';
import { type Downloads, openArtifacts, openStore } from './store.ts';

/** What a runtime has on its disk. */
export type Disk = {
  readonly store: ContentStore;
  /** What all that is there takes. */
  readonly nodeDisk: NodeDisk;
  readonly artifacts: Artifacts;
  readonly deltas: DeltaTally;
  /** The state files, and what was in them. */
  readonly memory: Memory;
  readonly remembered: Recalled;
};

const makeDataFolder = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('CONFIG_INVALID', `--data-dir ${folder} cannot be used: ${why}`, {
      advice: 'Let the process write to the folder, or name another one.',
      cause: error,
    });
  }
};

/**
 * Opens the data folder; the stack closes it.
 * @throws CONFIG_INVALID; STORE_LOCKED when another process has it
 */
export const openDisk = async (
  { settings, clock, logger }: RuntimeParts,
  {
    pulls,
    egress,
    downloads,
    peers,
  }: {
    readonly pulls: PullCredentials;
    readonly egress: NodeEgress;
    readonly downloads: Downloads;
    readonly peers: SitePeers | undefined;
  },
  stack: AsyncDisposableStack,
): Promise<Disk> => {
  await makeDataFolder(settings.dataDir);
  const nodeDisk = new NodeDisk(settings, logger);
  await nodeDisk.countPrepared();
  const opened = await openStore(settings, { logger, nodeDisk }, stack);
  nodeDisk.onLeftovers(() => opened.store.clearLeftovers());
  const memory = memoryOf(settings.dataDir);
  const remembered = await recall(memory, logger);
  const former = formerAdapters(remembered);
  const random = Math.random;
  const deltas = new DeltaTally();
  const parts = { ...opened, clock, logger, random, former, pulls, egress, downloads, deltas, peers };
  const artifacts = await openArtifacts(settings, parts);
  return { store: opened.store, nodeDisk, artifacts, deltas, memory, remembered };
};
