import { z } from 'zod';
import { parsedBy } from '../api/parsed.ts';
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
  // Which lines of a journal go on from here; '': none.
  journal: text.default(''),
});
const resourceSchema = z.object({ key: text, version: text, body: z.unknown() });
const removalSchema = z.object({ key: text, remainingMs: z.number().min(0) });

/** A value for JSON that {@link heldPlanSchema} reads. `journal`: which lines of a journal go on from here. */
export const heldPlanToJson = ({ clusterUid, revision, resources, removals }: HeldPlan, journal = '') => ({
  format,
  clusterUid,
  revision: revisionToJson(revision),
  policies: String(revision.policies),
  resources: resources.map(resourceToJson),
  removals,
  ...(journal === '' ? {} : { journal }),
});

const resourceToJson = (r: Versioned) => ({ key: resourceKey(r), version: r.version, body: r.body });

/**
 * Reads what {@link heldPlanToJson} wrote. A resource that is not what its version says is left out and reported in
 * `problems`: the next Hello does not name it, so it is sent again. An unknown format fails as a whole.
 */
export const heldPlanSchema = fileSchema.transform((file): ReadHeldPlan => {
  const { resources, problems } = readResources(file.resources);
  return { held: heldOf(file, resources, problems), problems, journal: file.journal };
});

export type ReadHeldPlan = {
  readonly held: HeldPlan;
  readonly problems: readonly string[];
  readonly journal: string;
};

/** What a plan has become since it was written as a whole. */
export const heldChangesSchema = fileSchema.omit({ format: true, resources: true, journal: true }).extend({
  put: z.array(z.unknown()),
  gone: z.array(text),
});
export type HeldChanges = z.output<typeof heldChangesSchema>;

/** A value for JSON that {@link heldChangesSchema} reads: what `after` has other than `before`. Both are in the order of keys. */
export const heldChangesToJson = (before: HeldPlan, after: HeldPlan) => {
  const put: Versioned[] = [];
  const gone: string[] = [];
  let at = 0;
  for (const resource of after.resources) {
    const same = before.resources[at];
    if (same === resource) {
      at++;
      continue;
    }
    const key = resourceKey(resource);
    for (let old = same; old !== undefined && resourceKey(old) < key; old = before.resources[at]) {
      gone.push(resourceKey(old));
      at++;
    }
    const old = before.resources[at];
    const isKnown = old !== undefined && resourceKey(old) === key;
    if (isKnown) at++;
    if (!isKnown || old.version !== resource.version) put.push(resource);
  }
  gone.push(...before.resources.slice(at).map(resourceKey));
  const { format: _, resources: __, ...rest } = heldPlanToJson({ ...after, resources: [] });
  return { ...rest, put: put.map(resourceToJson), gone };
};

/**
 * The plan after changes, of which there is one at least, the oldest first. A resource that is not what its version says is left
 * out, as by {@link heldPlanSchema}.
 */
export const withHeldChanges = (
  before: HeldPlan,
  all: readonly [HeldChanges, ...HeldChanges[]],
): Omit<ReadHeldPlan, 'journal'> => {
  const resources = new Map(before.resources.map((resource) => [resourceKey(resource), resource]));
  const problems: string[] = [];
  for (const { gone, put: items } of all) {
    for (const key of gone) resources.delete(key);
    const put = readResources(items);
    problems.push(...put.problems);
    for (const item of items) {
      const parts = parsedBy(resourceSchema, item);
      if (parts.success && !put.resources.has(parts.data.key)) resources.delete(parts.data.key);
    }
    for (const [key, resource] of put.resources) resources.set(key, resource);
  }
  // Once for all of them: a journal of a large plan has thousands.
  const sorted = new Map([...resources].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { held: heldOf(all.at(-1) ?? all[0], sorted, problems), problems };
};

const readResources = (items: readonly unknown[]) => {
  const problems: string[] = [];
  const resources = new Map<string, Versioned>();
  for (const [index, item] of items.entries()) {
    const read = readResource(item);
    if ('reason' in read) problems.push(`resource ${index}: ${read.reason}`);
    else resources.set(resourceKey(read.resource), read.resource);
  }
  return { resources, problems };
};

type Rest = Pick<z.output<typeof fileSchema>, 'clusterUid' | 'revision' | 'policies' | 'removals'>;

/** Problems with removals are added to `problems`. */
const heldOf = (file: Rest, resources: ReadonlyMap<string, Versioned>, problems: string[]): HeldPlan => {
  const removals: WaitingRemoval[] = [];
  for (const [index, item] of file.removals.entries()) {
    const read = parsedBy(removalSchema, item);
    if (!read.success) problems.push(`removal ${index}: not a key with the milliseconds that are left`);
    else if (resources.has(read.data.key)) removals.push(read.data);
  }
  const revision = { ...file.revision, policies: file.policies };
  return { clusterUid: file.clusterUid, revision, resources: [...resources.values()], removals };
};

const readResource = (item: unknown): ReturnType<typeof resourceFromParts> => {
  const parts = parsedBy(resourceSchema, item);
  if (!parts.success) return { reason: 'not a key, a version and a body' };
  const read = resourceFromParts(parts.data.key, parts.data.version, parts.data.body);
  return 'reason' in read ? { reason: `${parts.data.key}: ${read.reason}` } : read;
};
