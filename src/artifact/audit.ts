import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import type { BlobPool } from './blob-pool.ts';
import { layersOf } from './layers.ts';
import { blobsOf } from './manifest.ts';
import { asStoreError, damagedHere, filesFolder, type StorePaths, sizeOf } from './store-files.ts';
import type { StoredAdapter } from './store-scan.ts';

/**
 * Reads an artifact whole and changes nothing.
 * @throws AdaptletError ARTIFACT_CORRUPT
 */
export const checkWhole = async (
  { paths, pool }: { readonly paths: StorePaths; readonly pool: BlobPool },
  { digest, adapter }: { readonly digest: Digest; readonly adapter: StoredAdapter },
  signal: AbortSignal,
): Promise<void> => {
  for (const blob of blobsOf(adapter.manifest))
    if (!(await pool.isSound(blob.digest, signal))) throw damagedHere(`blob ${blob.digest}`, digest);
  const folder = join(paths.adapter(digest), filesFolder);
  for (const content of layersOf(adapter.manifest, digest)) {
    if (content.kind === 'archive') continue;
    const size = await sizeOf(paths.files, 'adapter.stat-file', join(folder, content.name));
    if (size !== content.layer.size) throw damagedHere(`file ${content.name}`, digest);
  }
};

/**
 * Has each blob audited. What goes wrong with one holds up none of the others.
 * @throws at the end: of the first that went wrong
 */
export const auditEach = async (
  blobs: readonly Digest[],
  audit: (blob: Digest, troubles: unknown[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> => {
  const troubles: unknown[] = [];
  for (const blob of blobs) {
    signal.throwIfAborted();
    try {
      await audit(blob, troubles);
    } catch (error) {
      signal.throwIfAborted();
      troubles.push(error);
    }
  }
  if (troubles.length > 0) throw asStoreError(troubles[0], `checking ${troubles.length} blobs`);
};
