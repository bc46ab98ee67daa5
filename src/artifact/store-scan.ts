import { join } from 'node:path';
import { type Digest, isDigest } from '../api/names.ts';
import { errnoOf } from '../errors/errno.ts';
import { adapterFolder } from './adapter-folder.ts';

import { digestOf } from './digest.ts';
import { layersOf } from './layers.ts';
import { type ArtifactLimits, blobsOf, type Manifest, parseManifest, totalBytes } from './manifest.ts';
import { filesFolder, manifestFile, namesIn, ownBytes, type StorePaths, sizeOf } from './store-files.ts';

/** An artifact that is complete on the disk. `extraBytes` are those of unpacked or copied files. */
export type StoredAdapter = {
  readonly manifest: Manifest;
  /** Folder with the adapter's files. */
  readonly folder: string;
  readonly bytes: number;
  readonly extraBytes: number;
};

/** Something that the disk did not keep. */
export type Damage = { readonly digest: Digest; readonly reason: string };

export type Scan = {
  readonly adapters: ReadonlyMap<Digest, StoredAdapter>;
  /** Blobs of the size that some manifest says, and their sizes. */
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly damagedAdapters: readonly Damage[];
  /** Blobs of another size, and their sizes. */
  readonly damagedBlobs: ReadonlyMap<Digest, number>;
  /** Blobs that no artifact needs. */
  readonly orphans: readonly Digest[];
};

const digestsOf = (names: readonly string[]): readonly Digest[] =>
  names.map((name) => `sha256:${name}`).filter(isDigest);

/** What one file can have. Anything else, such as too many open files, says nothing about it, and must not cost it. */
const ofOneFile: ReadonlySet<string> = new Set(['ENOENT', 'EIO', 'EISDIR', 'ENOTDIR', 'ELOOP', 'EUCLEAN']);

const isOfOneFile = (error: unknown): boolean => {
  const errno = errnoOf(error);
  return errno === undefined || ofOneFile.has(errno);
};

/** Undefined where the file system has lost it. */
const unlessLost = async <T>(reading: Promise<T>): Promise<T | undefined> => {
  try {
    return await reading;
  } catch (error) {
    if (isOfOneFile(error)) return undefined;
    throw error;
  }
};

const blobSizes = async (paths: StorePaths): Promise<ReadonlyMap<Digest, number>> => {
  const { files, blobs } = paths;
  const sizes = new Map<Digest, number>();
  for (const fan of await namesIn(files, 'scan.list-fans', blobs)) {
    for (const digest of digestsOf(await namesIn(files, 'scan.list-blobs', join(blobs, fan)))) {
      const size = await unlessLost(sizeOf(files, 'scan.stat-blob', paths.blob(digest)));
      sizes.set(digest, size ?? 0);
    }
  }
  return sizes;
};

const readStored = async (
  digest: Digest,
  paths: StorePaths,
  limits: ArtifactLimits,
): Promise<StoredAdapter | string> => {
  const folder = paths.adapter(digest);
  const disk = paths.files;
  const bytes = await unlessLost(disk.readFile('scan.read-manifest', join(folder, manifestFile)));
  if (bytes === undefined || digestOf(bytes) !== digest) return 'its manifest is missing or damaged';
  try {
    const manifest = parseManifest(bytes, limits, digest);
    for (const content of layersOf(manifest, digest)) {
      if (content.kind === 'archive') continue;
      const size = await sizeOf(disk, 'scan.stat-file', join(folder, filesFolder, content.name));
      if (size !== content.layer.size) return `its file ${content.name} is missing or has another size`;
    }
    const extraBytes = await ownBytes(disk, join(folder, filesFolder));
    const files = await adapterFolder(disk, 'scan.list-folder', join(folder, filesFolder), digest);
    return { manifest, folder: files, bytes: totalBytes(manifest) + extraBytes, extraBytes };
  } catch (error) {
    if (!isOfOneFile(error)) throw error;
    return error instanceof Error ? error.message : String(error);
  }
};

/**
 * Looks at what is on the disk: manifests by digest, everything else by size. Reads no content; see `scrub` for that.
 * Changes nothing.
 */
export const scanStore = async (paths: StorePaths, limits: ArtifactLimits): Promise<Scan> => {
  const sizes = await blobSizes(paths);
  const adapters = new Map<Digest, StoredAdapter>();
  const damagedAdapters: Damage[] = [];
  const damagedBlobs = new Map<Digest, number>();
  const needed = new Set<Digest>();
  for (const digest of digestsOf(await namesIn(paths.files, 'scan.list-adapters', paths.adapters))) {
    const stored = await readStored(digest, paths, limits);
    if (typeof stored === 'string') {
      damagedAdapters.push({ digest, reason: stored });
      continue;
    }
    const wrong = blobsOf(stored.manifest).filter((blob) => sizes.get(blob.digest) !== blob.size);
    for (const { digest: blob } of wrong) {
      const size = sizes.get(blob);
      if (size !== undefined) damagedBlobs.set(blob, size);
    }
    if (wrong[0] === undefined) {
      adapters.set(digest, stored);
      for (const blob of blobsOf(stored.manifest)) needed.add(blob.digest);
    } else
      damagedAdapters.push({ digest, reason: `its blob ${wrong[0].digest} is missing or has another size` });
  }
  const blobs = new Map([...sizes].filter(([digest]) => needed.has(digest)));
  const orphans = [...sizes.keys()].filter((digest) => !needed.has(digest) && !damagedBlobs.has(digest));
  return { adapters, blobs, damagedAdapters, damagedBlobs, orphans };
};
