import type { Manifest } from '../../api/objects.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import { decidedOfGroup, observedFields } from '../../rollout/decided.ts';
import type { Read } from '../objects/objects.ts';

/** Fields of a status that tell people and never reach a plan. Whatever else changes is compiled. */
const reported: ReadonlySet<string> = new Set([
  ...observedFields,
  'conditions',
  'observedGeneration',
  'failures',
  'sizeBytes',
  'rank',
  'targetModules',
  'leaderEpoch',
  'lastHandledRequest',
  'analysis',
  'analyses',
  'progress',
  'startedAt',
  'finishedAt',
]);

/**
 * Text of everything in an object that a plan may depend on: while it is the same, no plan changes. So the counts that
 * the leader writes into statuses cost no compilation.
 */
export const inputOf = ({ metadata, object }: Read<Manifest>): string => {
  if (object === undefined) return `${metadata.uid} invalid`;
  const { status: own } = { status: undefined, ...object };
  const status = Object.entries(own ?? {})
    .filter(([field]) => !reported.has(field))
    .map(([field, value]) => [field, field === 'groups' ? boundsOf(object) : value]);
  const hasStatus = own !== undefined;
  // The generation grows with every change of the spec.
  return `${metadata.uid} ${metadata.generation} ${hasStatus} ${canonicalJson(Object.fromEntries(status))}`;
};

/** Groups without what is counted of them. */
const boundsOf = (object: Manifest): unknown => {
  if (object.kind !== 'AdapterRollout') return undefined;
  return object.status?.groups?.map((group) => ({ ...decidedOfGroup(group), message: '' }));
};
