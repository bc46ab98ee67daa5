import { join, relative } from 'node:path';

import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { adapterFolder } from './adapter-folder.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { isTaken } from './file-name.ts';
import { formOf } from './forms.ts';
import { type LayerContent, layersOf } from './layers.ts';
import { type ArtifactLimits, type Manifest, totalBytes } from './manifest.ts';

import { filesFolder, linkOrCopy, manifestFile, type StorePaths } from './store-files.ts';
import type { StoreDisk } from './store-points.ts';

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
  const { files } = paths;
  const { digest, bytes, manifest } = whole;
  const building = join(paths.tmp, hexOf(digest));
  const place = paths.adapter(digest);
  await files.remove('adapter.clear', building);
  try {
    const built = join(building, filesFolder);
    const extraBytes = await buildFiles(parts, whole, built, signal);
    const inner = relative(built, await adapterFolder(files, 'adapter.list', built, digest));
    const manifestPath = join(building, manifestFile);
    await files.writeFile('adapter.write-manifest', manifestPath, bytes);
    await files.sync('adapter.fsync-manifest', manifestPath);
    await syncFolders(files, built);
    await files.sync('adapter.fsync-building', building);
    await files.mkdir('adapter.mkdir-place', paths.adapters);
    // What a start found damaged there, and was kept from clearing away.
    await files.remove('adapter.clear-place', place);
    await files.rename('adapter.rename', building, place);
    await files.sync('adapter.fsync-folder', paths.adapters);
    budget.count(extraBytes);
    const folder = join(place, filesFolder, inner);
    return { manifest, folder, bytes: totalBytes(manifest) + extraBytes, extraBytes };
  } catch (error) {
    await files.remove('adapter.drop', building);
    throw error;
  }
};

/** The names in a folder and in those below it survive a power cut: archives, and names with a `/`, have such. */
const syncFolders = async (files: StoreDisk, folder: string): Promise<void> => {
  for (const entry of await files.entries('adapter.list-built', folder, { recursive: true }))
    if (entry.isDirectory()) await files.sync('adapter.fsync-inner', join(entry.parentPath, entry.name));
  await files.sync('adapter.fsync-files', folder);
};

const buildFiles = async (
  parts: FolderParts,
  { digest, manifest }: Whole,
  target: string,
  signal: AbortSignal,
): Promise<number> => {
  await parts.paths.files.mkdir('adapter.mkdir', target);
  const contents = layersOf(manifest, digest);
  if (formOf(manifest) === 'image') {
    const bytes = await unpackImage(parts, contents, target, signal);
    // A base model, and nothing beside it.
    if (bytes !== undefined) return bytes;
  }
  let extraBytes = 0;
  for (const content of contents) {
    const blob = parts.paths.blob(content.layer.digest);
    extraBytes +=
      content.kind === 'file'
        ? await placed(parts.paths.files, blob, { content, target })
        : await unpack(parts, { archive: blob, content, target, before: extraBytes }, signal);
  }
  return extraBytes;
};

const unpackImage = async (
  { paths, disk, limits, budget }: FolderParts,
  contents: readonly LayerContent[],
  target: string,
  signal: AbortSignal,
): Promise<number | undefined> => {
  const layers = contents.flatMap((content) =>
    content.kind === 'archive'
      ? [{ archive: paths.blob(content.layer.digest), compression: content.compression }]
      : [],
  );
  return await disk.extractImage({ layers, target, ...limits, roomBytes: Math.max(0, budget.free) }, signal);
};

/** @throws ARTIFACT_FILE_REFUSED where another layer has the name, as a file or as a folder */
const placed = async (
  files: StoreDisk,
  blob: string,
  { content, target }: { readonly content: Extract<LayerContent, { kind: 'file' }>; readonly target: string },
): Promise<number> => {
  try {
    return await linkOrCopy(files, blob, join(target, content.name), content.layer.size);
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
