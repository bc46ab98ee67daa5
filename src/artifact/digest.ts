import { createHash } from 'node:crypto';
import type { Digest } from '../api/names.ts';

/** Digest of something small: manifests and configurations. Files are hashed by {@link DiskThread}. */
export const digestOf = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** The hexadecimal part, which names files and folders. */
export const hexOf = (digest: Digest): string => digest.slice('sha256:'.length);
