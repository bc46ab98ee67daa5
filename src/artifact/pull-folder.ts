import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { type DiskThread, startDiskThread } from './disk-thread.ts';
import { layersOf } from './layers.ts';
import { type ArtifactLimits, type Manifest, totalBytes } from './manifest.ts';
import { askFor, placeOf, receive } from './offer.ts';
import type { ImageReference } from './reference.ts';
import type { Registry } from './registry.ts';
import { ContentStore } from './store.ts';

export type PullOptions = {
  readonly registry: Pick<Registry, 'manifest' | 'blob'>;
  readonly image: ImageReference;
  /** Folder to write; it must not be there, be empty, or have these files already. */
  readonly folder: string;
  readonly limits: ArtifactLimits;
  /** Throws where it is not what was wanted, before anything else is fetched. `where` is for its message. */
  readonly check: (manifest: Manifest, where: string) => void;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly receivedBytes: number; readonly totalBytes: number }) => void;
};

export type Pulled = {
  readonly digest: Digest;
  readonly bytes: number;
  /** The folder had the files already; it was left as it is. */
  readonly wasThere: boolean;
};

/** Beside the folder while a pull is under way; another pull to the same folder goes on from it. */
const partSuffix = '.adaptlet-part';

/**
 * Writes an artifact from a registry to a folder, with the names and bytes of its files. It is there complete or not at
 * all; a pull that broke off goes on where it was.
 * @throws AdaptletError those of registries, manifests and archives; ARTIFACT_FILE_REFUSED where the folder has other
 * files; STORE_LOCKED when another pull writes it
 */
export const pullFolder = async (options: PullOptions): Promise<Pulled> => {
  const { registry, image, signal, onProgress } = options;
  const folder = resolve(options.folder);
  const isUsed = await hasEntries(folder);
  const where = placeOf(image);
  const offer = await askFor(registry, image, { limits: options.limits, where, signal });
  const { manifest } = offer;
  options.check(manifest, where);
  const bytes = totalBytes(manifest);
  await using disk = startDiskThread();
  if (isUsed) {
    if (await holds(folder, manifest, { disk, signal }))
      return { digest: offer.digest, bytes, wasThere: true };
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${folder} is not empty`, {
      advice: 'Name a folder that is not there yet, or an empty one.',
    });
  }
  const root = `${folder}${partSuffix}`;
  await mkdir(dirname(folder), { recursive: true });
  await withStore(root, disk, options.limits, async (store) => {
    const added = await receive({ registry, store }, image, offer, signal, (receivedBytes) =>
      onProgress?.({ receivedBytes, totalBytes: bytes }),
    );
    // The store's files are its own; a folder for people is readable as any.
    await makeReadable(store.folder(added));
    // Takes the place of an empty folder, and of nothing else: what came into it meanwhile stays.
    await rename(store.folder(added), folder);
  });
  await rm(root, { recursive: true, force: true });
  return { digest: offer.digest, bytes, wasThere: false };
};

/** False where there is nothing. A file is not taken away for a folder of its name. */
const hasEntries = async (folder: string): Promise<boolean> => {
  try {
    return (await readdir(folder)).length > 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${folder} is no folder that can be read`, {
      advice: 'Name a folder that is not there yet, or an empty one.',
      cause: error,
    });
  }
};

/** Whether a folder has the files of an artifact and nothing else. What is in archives is not looked at: false. */
const holds = async (
  folder: string,
  manifest: Manifest,
  { disk, signal }: { readonly disk: DiskThread; readonly signal: AbortSignal },
): Promise<boolean> => {
  const contents = layersOf(manifest, folder);
  const wanted = new Map(
    contents.flatMap((content) => (content.kind === 'file' ? [[content.name, content.layer] as const] : [])),
  );
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  if (wanted.size < contents.length || files.length !== wanted.size) return false;
  for (const file of files) {
    const path = join(file.parentPath, file.name);
    const layer = wanted.get(relative(folder, path));
    if (layer === undefined || !file.isFile() || (await stat(path)).size !== layer.size) return false;
    if ((await disk.hash(path, signal)).digest !== layer.digest) return false;
  }
  return true;
};

const makeReadable = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) await chmod(join(entry.parentPath, entry.name), 0o644);
};

const withStore = async (
  root: string,
  disk: DiskThread,
  limits: ArtifactLimits,
  work: (store: ContentStore) => Promise<void>,
): Promise<void> => {
  await using store = await ContentStore.open({
    root: join(root, 'store'),
    budgetBytes: Number.MAX_SAFE_INTEGER,
    disk,
    limits,
    keepsUnfinished: true,
  });
  await work(store);
};
