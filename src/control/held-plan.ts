import { z } from 'zod';
import { resourceKey, type Versioned } from '../plan/resources.ts';
import type { WaitingRemoval } from './removals.ts';
import { noRevision, partSchema, type Revision, revisionSchema, revisionToJson } from './revision.ts';
import { resourceFromParts } from './wire.ts';

/** What a runtime keeps across restarts. */
export type HeldPlan = {
  /** '': follows no cluster. */
  readonly clusterUid: string;
  readonly revision: Revision;
  readonly resources: readonly Versioned[];
  /** Removals that are held back, with the time that is left. */
  readonly removals: readonly WaitingRemoval[];
};

export const noHeldPlan: HeldPlan = { clusterUid: '', revision: noRevision, resources: [], removals: [] };

/** Of the file. A later form that an earlier program cannot read gets another number. */
const format = 1;

const text = z.string().max(4096);
const fileSchema = z.object({
  format: z.literal(format),
  clusterUid: text,
  revision: revisionSchema,
  // An earlier version does not write it, and leaves it out when it reads.
  policies: partSchema.prefault('0'),
  resources: z.array(z.unknown()),
  removals: z.array(z.unknown()).default([]),
});
const resourceSchema = z.object({ key: text, version: text, body: z.unknown() });
const removalSchema = z.object({ key: text, remainingMs: z.number().min(0) });

/** A value for JSON that {@link heldPlanSchema} reads. */
export const heldPlanToJson = ({ clusterUid, revision, resources, removals }: HeldPlan) => ({
  format,
  clusterUid,
  revision: revisionToJson(revision),
  policies: String(revision.policies),
  resources: resources.map((r) => ({ key: resourceKey(r), version: r.version, body: r.body })),
  removals,
});

/**
 * Reads what {@link heldPlanToJson} wrote. A resource that is not what its version says is left out and reported in
 * `problems`: the next Hello does not name it, so it is sent again. An unknown format fails as a whole.
 */
export const heldPlanSchema = fileSchema.transform((file): ReadHeldPlan => {
  const problems: string[] = [];
  const resources = new Map<string, Versioned>();
  for (const [index, item] of file.resources.entries()) {
    const read = readResource(item);
    if ('reason' in read) problems.push(`resource ${index}: ${read.reason}`);
    else resources.set(resourceKey(read.resource), read.resource);
  }
  const removals: WaitingRemoval[] = [];
  for (const [index, item] of file.removals.entries()) {
    const read = removalSchema.safeParse(item);
    if (!read.success) problems.push(`removal ${index}: not a key with the milliseconds that are left`);
    else if (resources.has(read.data.key)) removals.push(read.data);
  }
  const { clusterUid } = file;
  const revision = { ...file.revision, policies: file.policies };
  return { held: { clusterUid, revision, resources: [...resources.values()], removals }, problems };
});

export type ReadHeldPlan = { readonly held: HeldPlan; readonly problems: readonly string[] };

const readResource = (item: unknown): ReturnType<typeof resourceFromParts> => {
  const parts = resourceSchema.safeParse(item);
  if (!parts.success) return { reason: 'not a key, a version and a body' };
  const read = resourceFromParts(parts.data.key, parts.data.version, parts.data.body);
  return 'reason' in read ? { reason: `${parts.data.key}: ${read.reason}` } : read;
};
