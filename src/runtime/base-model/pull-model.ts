import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { totalBytes } from '../../artifact/manifest.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import type { Registry } from '../../artifact/registry.ts';
import { ContentStore } from '../../artifact/store.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { askForModel, receiveModel } from './fetch-model.ts';
import { modelLimits } from './model-store.ts';

export type PullOptions = {
  readonly registry: Pick<Registry, 'manifest' | 'blob'>;
  readonly image: ImageReference;
  /** Folder to write; it must not be there, or be empty. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly receivedBytes: number; readonly totalBytes: number }) => void;
};

/** Beside the folder while a pull is under way; another pull to the same folder goes on from it. */
const partSuffix = '.adaptlet-part';

const refuseUsed = async (folder: string): Promise<void> => {
  const entries = await readdir(folder).catch(() => []);
  if (entries.length === 0) return;
  throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${folder} is not empty`, {
    advice: 'Name a folder that is not there yet, or an empty one.',
  });
};

/**
 * Writes a base model from a registry to a folder, with the names and bytes of its files. It is there complete or not at
 * all; a pull that broke off goes on where it was.
 * @throws AdaptletError those of registries, manifests and archives; STORE_LOCKED when another pull writes it
 */
export const pullModel = async ({
  registry,
  image,
  folder: target,
  signal,
  onProgress,
}: PullOptions): Promise<{ readonly digest: Digest; readonly bytes: number }> => {
  const folder = resolve(target);
  await refuseUsed(folder);
  const where = `${image.registry}/${image.repository}`;
  const offer = await askForModel(registry, image, where, signal);
  const bytes = totalBytes(offer.manifest);
  const root = `${folder}${partSuffix}`;
  await mkdir(dirname(folder), { recursive: true });
  const digest = await withStore(root, async (store) => {
    const added = await receiveModel({ registry, store }, image, offer, signal, (receivedBytes) =>
      onProgress?.({ receivedBytes, totalBytes: bytes }),
    );
    // The store's files are its own; a folder for people is readable as any.
    await makeReadable(store.folder(added));
    await rm(folder, { recursive: true, force: true });
    await rename(store.folder(added), folder);
    return added;
  });
  await rm(root, { recursive: true, force: true });
  return { digest, bytes };
};

const makeReadable = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) await chmod(join(entry.parentPath, entry.name), 0o644);
};

const withStore = async <T>(root: string, work: (store: ContentStore) => Promise<T>): Promise<T> => {
  await using disk = startDiskThread();
  await using store = await ContentStore.open({
    root: join(root, 'store'),
    budgetBytes: Number.MAX_SAFE_INTEGER,
    disk,
    limits: modelLimits,
    keepsUnfinished: true,
  });
  return await work(store);
};
