import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Digest } from '../api/names.ts';
import { syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { adapterFolder } from './adapter-folder.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { formOf } from './forms.ts';
import { type LayerContent, layersOf } from './layers.ts';
import { type ArtifactLimits, type Manifest, totalBytes } from './manifest.ts';
import {
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
    const files = join(building, filesFolder);
    const extraBytes = await buildFiles(parts, whole, files, signal);
    const inner = relative(files, await adapterFolder(files, digest));
    const manifestPath = join(building, manifestFile);
    await writeFile(manifestPath, bytes);
    await syncFile(manifestPath);
    await syncFolder(files);
    await syncFolder(building);
    await rename(building, paths.adapter(digest));
    await syncFolder(paths.adapters);
    budget.count(extraBytes);
    const folder = join(paths.adapter(digest), filesFolder, inner);
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
        ? await linkOrCopy(blob, join(target, content.name), content.layer.size)
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
