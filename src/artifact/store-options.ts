import type { Digest } from '../api/names.ts';
import type { Apart } from './blob-pool.ts';
import type { Caution } from './caution.ts';
import type { Within } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import type { ArtifactLimits, Descriptor } from './manifest.ts';
import type { StoreDisk } from './store-points.ts';
import type { Damage } from './store-scan.ts';

export type StoreOptions = {
  readonly root: string;
  readonly budgetBytes: number;
  /** What else takes of the same disk. Default: nothing. */
  readonly within?: Within;
  readonly disk: DiskThread;
  readonly limits?: ArtifactLimits;
  /** What was on its way when the last owner ended is kept, and the next `add` goes on from there. Default: dropped. */
  readonly keepsUnfinished?: boolean;
  /** Default: the disk of this machine. */
  readonly files?: StoreDisk;
};

/** Of the store that something lies beside. Default: the disk of this machine, and tidied up in any case. */
export type BesideStore = { readonly files?: StoreDisk; readonly caution?: Caution };

/** Who shares a store with others says here what counts as its own. */
export type Custody = {
  /** How a blob is brought that somebody else takes long for. */
  readonly apart: Apart;
  /** Room for what is missing is set aside. */
  readonly reserved: () => void;
  /** A blob was not here: it came through `write` of this caller, and is verified. */
  readonly brought: (blob: Descriptor) => void | Promise<void>;
  /** A blob was here; nothing is added when it throws. */
  readonly found: (blob: Descriptor) => Promise<void>;
  /** Called once all blobs are here, before the artifact is, and also when it is here already; nothing is added when it throws. */
  readonly admit: (digest: Digest) => Promise<void>;
};

export type ScrubOptions = {
  /** Reads at its own pace and holds up nobody; what it finds damaged is read once more. Default: the thread of the store. */
  readonly reader?: Pick<DiskThread, 'hash'>;
  /** Hears of each at once. */
  readonly onDamage?: (damage: Damage) => void;
};
