import { readdir } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { DiskThread } from './disk-thread.ts';
import type { Gathered } from './gathered.ts';
import type { ArtifactLimits, Descriptor } from './manifest.ts';
import { configFile } from './pack.ts';
import type { SourceHttp } from './source-http.ts';
import type { TransferOptions } from './transfer.ts';

/** Where the files of an adapter are that are to be packed: what is asked first, and what comes. */
export type RemoteFiles = {
  /** What the source names by digest: an archive, or large files. */
  readonly blobs: readonly Descriptor[];
  /** Bytes of all that comes. */
  readonly bytes: number;
  readonly write: WriteBlob;
  /** Digest of what is sent for a blob. Nothing of it is kept. */
  readonly hash: (blob: Descriptor) => Promise<Digest>;
  /** Asks for a byte of what is listed, where the list alone says nothing of who may read it. */
  readonly prove: () => Promise<void>;
  /** Puts the files of the adapter below `gathered.folder`, at most so many bytes. Resolves with the folder to pack. */
  readonly lay: (gathered: Pick<Gathered, 'folder' | 'path'>, maxBytes: number) => Promise<string>;
};

/** What sources are asked with. */
export type Asking = {
  readonly http: SourceHttp;
  readonly transfer: TransferOptions;
  readonly disk: DiskThread;
  readonly limits: ArtifactLimits;
  readonly signal: AbortSignal;
  /** Bytes of a blob that are here; also called, with what was said last, while this side waits. */
  readonly onBytes: (blob: Digest, bytes: number) => void;
};

/** The folder in which an adapter lies that was unpacked or fetched: the one with its configuration, however deep. */
export const folderOfAdapter = async (folder: string, where: string): Promise<string> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const found = entries.filter((entry) => entry.isFile() && entry.name === configFile);
  if (found.length > 1) {
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${where} has ${configFile} in several folders`, {
      advice: 'Name a source with the files of one adapter.',
    });
  }
  return found[0]?.parentPath ?? folder;
};

/** @throws ARTIFACT_TOO_LARGE */
export const checkSize = (bytes: number, limits: ArtifactLimits, where: string): void => {
  if (bytes > limits.maxBytes)
    throw new AdaptletError(
      'ARTIFACT_TOO_LARGE',
      `${where} has ${bytes} bytes, the limit is ${limits.maxBytes}`,
    );
};
