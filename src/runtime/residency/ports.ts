import type { Digest } from '../../api/names.ts';

/** Passed probes and smoke tests, so that a reload does not run them again. Only what passed is kept. */
export type Verdicts = {
  get(key: string): string | undefined;
  set(key: string, value: string): Promise<void>;
};

/** Which digest the source of an Adapter (by uid) resolved to. Fixed for the life of the uid. */
export type Resolutions = {
  get(uid: string): Digest | undefined;
  /** Resolves once it survives a restart. */
  set(uid: string, digest: Digest): Promise<void>;
  /** The uid is gone from the plan. */
  forget(uid: string): Promise<void>;
  /** The uids that resolved to a digest. */
  uidsOf(digest: Digest): readonly string[];
};
