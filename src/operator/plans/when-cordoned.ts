import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import { namespaceOf } from '../../control/key.ts';
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import type { RolloutState } from '../fleet/fleet.ts';
import {
  boundsOf,
  emptySplit,
  hasOf,
  type RestrainedPlan,
  type RestrainInput,
  reportOf,
  type Split,
  splitOn,
  wantedAs,
} from './restrained.ts';

/**
 * The plan of a cordoned runtime: what it does not have is not placed there. A canary that it lacks is not in its Split;
 * where it lacks stable it serves the newest former one that it has. Weights, aborts and rollbacks of what it has come
 * through, and so do routes and what a request asks for by name. Pure.
 */
export const planWhenCordoned = ({ plan, withheld, state, rolloutOf }: RestrainInput): RestrainedPlan => {
  const restrained = new Map(plan);
  const kept = new Set(withheld);
  const serving = new Set<ObjectKey>();
  for (const [key, resource] of plan) {
    if (resource.type !== 'Split') continue;
    const has = hasOf(resource, state);
    const { stable, canary } = resource.body;
    if ([stable, canary].every((arm) => arm === undefined || has(arm))) continue;
    const [present, former] = boundsOf(rolloutOf(resource.name)).filter(has);
    const report = reportOf(resource, state);
    if (present !== undefined) {
      const isStable = present.uid === stable?.uid && present.digest === stable.digest;
      restrained.set(
        key,
        splitOn(resource, present, former, isStable && canary !== undefined && has(canary)),
      );
      serving.add(objectKey(namespaceOf(resource.name), present.adapter));
    } else if (report === undefined || report.stableDigest === '') {
      restrained.set(key, emptySplit(resource));
    } else {
      // What it serves is in no status any more: it stays, with its adapters.
      kept.add(key);
      for (const adapter of adaptersOf(report, resource, state)) kept.add(`AdapterSpec ${adapter}`);
    }
  }
  for (const [key, resource] of plan) {
    if (resource.type !== 'AdapterSpec') continue;
    if (serving.has(resource.name)) restrained.set(key, wantedAs(resource, 'Memory', true));
    else if (!isHere(adapterAt(state, resource.name, resource.body.uid)))
      restrained.set(key, wantedAs(resource, 'None', false));
  }
  return { plan: restrained, withheld: kept };
};

/** Keys of what it has, of the two digests that it reports. */
const adaptersOf = (
  { stableDigest, canaryDigest }: RolloutState,
  { name }: Split,
  { adapters }: RestrainInput['state'],
): ObjectKey[] => {
  const digests: ReadonlySet<Digest | ''> = new Set([stableDigest, canaryDigest].filter((one) => one !== ''));
  return [...adapters].flatMap(([key, { digest }]) =>
    namespaceOf(key) === namespaceOf(name) && digests.has(digest) ? [key] : [],
  );
};
