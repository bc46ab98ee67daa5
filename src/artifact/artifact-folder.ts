import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { isTaken } from './file-name.ts';
import { type LayerContent, layersOf } from './layers.ts';
import { type ArtifactLimits, type Manifest, totalBytes } from './manifest.ts';
import {
  adapterFolder,
  filesFolder,
  linkOrCopy,
  manifestFile,
  removeAll,
  type StorePaths,
  syncFile,
} from './store-files.ts';
import type { StoredAdapter } from './store-scan.ts';

export type FolderParts = {
  readonly paths: StorePaths;
  readonly disk: DiskThread;
  readonly limits: ArtifactLimits;
  readonly budget: DiskBudget;
};

/** `bytes`: the manifest as it came, which the digest is of. */
export type Whole = { readonly digest: Digest; readonly bytes: Uint8Array; readonly manifest: Manifest };

/**
 * Makes the folder of an artifact out of its blobs: beside its place, and moved there as a whole. Bytes that are no
 * second names of blobs are counted in the budget.
 * @throws AdaptletError STORE_FULL, ARTIFACT_TOO_LARGE, and those of archives
 */
export const buildFolder = async (
  parts: FolderParts,
  whole: Whole,
  signal: AbortSignal,
): Promise<StoredAdapter> => {
  const { paths, budget } = parts;
  const { digest, bytes, manifest } = whole;
  const building = join(paths.tmp, hexOf(digest));
  await removeAll(building);
  try {
    const extraBytes = await buildFiles(parts, whole, join(building, filesFolder), signal);
    const manifestPath = join(building, manifestFile);
    await writeFile(manifestPath, bytes);
    await syncFile(manifestPath);
    await syncFolder(join(building, filesFolder));
    await syncFolder(building);
    await rename(building, paths.adapter(digest));
    await syncFolder(paths.adapters);
    budget.count(extraBytes);
    const folder = await adapterFolder(join(paths.adapter(digest), filesFolder));
    return { manifest, folder, bytes: totalBytes(manifest) + extraBytes, extraBytes };
  } catch (error) {
    await removeAll(building);
    throw error;
  }
};

const buildFiles = async (
  parts: FolderParts,
  { digest, manifest }: Whole,
  target: string,
  signal: AbortSignal,
): Promise<number> => {
  await mkdir(target, { recursive: true });
  let extraBytes = 0;
  for (const content of layersOf(manifest, digest)) {
    const blob = parts.paths.blob(content.layer.digest);
    extraBytes +=
      content.kind === 'file'
        ? await placed(blob, { content, target })
        : await unpack(parts, { archive: blob, content, target, before: extraBytes }, signal);
  }
  return extraBytes;
};

/** @throws ARTIFACT_FILE_REFUSED where another layer has the name, as a file or as a folder */
const placed = async (
  blob: string,
  { content, target }: { readonly content: Extract<LayerContent, { kind: 'file' }>; readonly target: string },
): Promise<number> => {
  try {
    return await linkOrCopy(blob, join(target, content.name), content.layer.size);
  } catch (error) {
    if (!isTaken(error)) throw error;
    const what = `layers have ${quoteUntrusted(content.name)} twice, or as a file and as a folder`;
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', what, { cause: error });
  }
};

/** `before`: bytes of the artifact's files that are there already. */
type Unpacking = {
  readonly archive: string;
  readonly content: Extract<LayerContent, { kind: 'archive' }>;
  readonly target: string;
  readonly before: number;
};

const unpack = async (
  { disk, limits, budget }: FolderParts,
  { archive, content, target, before }: Unpacking,
  signal: AbortSignal,
): Promise<number> => {
  const { maxBytes: most, maxFiles } = limits;
  const room = Math.max(0, budget.free - before);
  const maxBytes = Math.min(most - before, room);
  try {
    const { compression } = content;
    return await disk.extract({ archive, compression, target, maxBytes, maxFiles }, signal);
  } catch (error) {
    const isFull = error instanceof AdaptletError && error.code === 'ARTIFACT_TOO_LARGE' && maxBytes === room;
    throw isFull ? new AdaptletError('STORE_FULL', error.what, { cause: error }) : error;
  }
};
