import { isDeepStrictEqual } from 'node:util';
import { share } from '../../api/columns.ts';
import {
  conditionOf,
  conditionsOf,
  cut,
  joinCapped,
  type Observed,
  type Progress,
  readiness,
  verdictsOf,
} from '../../api/condition.ts';
import type { RouteStatus } from '../../api/route-status.ts';
import type { SaidOfRoute } from '../reconcile/group.ts';
import type { RuntimeSet } from '../reconcile/presence.ts';
import { firstOf, sizeOf } from '../reconcile/runtime-sets.ts';
import { classifiersReady, type WantedArtifact } from './classifiers.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';
import type { RouteFindings } from './references.ts';

/** Connected runtimes that are alike, as far as one route is concerned. */
export type RouteMember = SaidOfRoute & {
  /** One at least. */
  readonly runtimes: RuntimeSet;
  readonly isSilent: boolean;
};

export type RouteInput = {
  readonly generation: number;
  /** What is wrong with the spec. */
  readonly problems: readonly string[];
  readonly nameConflict: string | undefined;
  readonly findings: RouteFindings;
  /** What its classifiers need. */
  readonly artifacts: readonly WantedArtifact[];
  readonly members: readonly RouteMember[];
  readonly before: RouteStatus | undefined;
  readonly now: string;
};

type RouteCondition = Observed<ConditionType, ConditionReason>;

const maxUnresolved = 16;

/** The status of an AdapterRoute: pure. While runtimes of a new term are silent, what was written about them stays. */
export const decideRoute = (input: RouteInput): RouteStatus => {
  const { generation, findings, artifacts, members, before, now } = input;
  const acceptance = accepted(input);
  const isUnheard = before?.observedGeneration === generation && members.some(({ isSilent }) => isSilent);
  const written = (type: ConditionType): Observed | undefined =>
    isUnheard ? conditionOf(before.conditions, type) : undefined;
  const refs = resolvedRefs(input);
  const isAccepted = acceptance.status === 'True';
  const inForce = isAccepted ? members.filter(isProgrammed) : [];
  const inPlace = written('Programmed') ?? programmed(isAccepted, members, sizeOf(inForce));
  const classifiers = written('ClassifiersReady') ?? classifiersReady(artifacts, inForce);
  const runtimes = isUnheard ? before.runtimes : { desired: sizeOf(members), programmed: sizeOf(inForce) };
  return {
    observedGeneration: generation,
    runtimes,
    columns: { programmed: share(runtimes.programmed, runtimes.desired) },
    unresolved: findings.missing.slice(0, maxUnresolved).map((one) => cut(one, 512)),
    conditions: conditionsOf(
      [
        acceptance,
        refs,
        inPlace,
        ...(classifiers === undefined ? [] : [classifiers]),
        ...ready(acceptance, refs, inPlace, classifiers),
      ],
      before?.conditions,
      now,
    ),
  };
};

/** None: nothing is different. Decision: something that programs act on is. */
export const changeOf = (
  before: RouteStatus | undefined,
  after: RouteStatus,
): 'None' | 'Observation' | 'Decision' => {
  if (isDeepStrictEqual(before, after)) return 'None';
  if (before?.observedGeneration !== after.observedGeneration) return 'Decision';
  const isSame = isDeepStrictEqual(verdictsOf(before.conditions), verdictsOf(after.conditions));
  return isSame ? 'Observation' : 'Decision';
};

const isProgrammed = ({ isReached, refusal, isSilent }: RouteMember): boolean =>
  isReached && refusal === undefined && !isSilent;

const accepted = ({ problems, nameConflict }: RouteInput): RouteCondition => {
  const type = 'Accepted';
  if (problems.length > 0) {
    return { type, status: 'False', reason: 'InvalidSpec', message: joinCapped(problems, 10, '; ') };
  }
  return nameConflict === undefined
    ? { type, status: 'True', reason: 'Accepted', message: 'clients may call it by its model name' }
    : { type, status: 'False', reason: 'NameConflict', message: `spec.model: ${nameConflict}` };
};

const resolvedRefs = ({
  problems,
  findings: { missing, notAllowed, warnings },
}: RouteInput): RouteCondition => {
  const type = 'ResolvedRefs';
  if (problems.length > 0) {
    return { type, status: 'Unknown', reason: 'NotChecked', message: 'the spec is not valid' };
  }
  if (notAllowed.length > 0) {
    return {
      type,
      status: 'False',
      reason: 'NotAllowed',
      message: joinCapped([...notAllowed, ...missing], maxUnresolved, '; '),
    };
  }
  if (missing.length > 0) {
    return {
      type,
      status: 'False',
      reason: 'TargetMissing',
      message: joinCapped(missing, maxUnresolved, '; '),
    };
  }
  return warnings.length > 0
    ? {
        type,
        status: 'True',
        reason: 'ResolvedWithWarnings',
        message: joinCapped(warnings, maxUnresolved, '; '),
      }
    : { type, status: 'True', reason: 'Resolved', message: 'everything that the rules name exists' };
};

const programmed = (isAccepted: boolean, members: readonly RouteMember[], count: number): RouteCondition => {
  const type = 'Programmed';
  if (!isAccepted)
    return { type, status: 'False', reason: 'NotAccepted', message: 'no runtime gets the route' };
  if (members.length === 0) {
    return { type, status: 'False', reason: 'NoRuntime', message: 'no runtime is connected' };
  }
  const all = sizeOf(members);
  const message = `${count} of ${all} connected runtimes route by it`;
  const refused = firstOf(members.filter(({ refusal }) => refusal !== undefined));
  if (refused !== undefined) {
    const quoted = `${refused.key} refuses it: ${cut(refused.group.refusal ?? '', 2000)}`;
    return { type, status: 'False', reason: 'Refused', message: `${message}; ${quoted}` };
  }
  return count === all
    ? { type, status: 'True', reason: 'Programmed', message }
    : { type, status: 'False', reason: 'Pending', message };
};

/**
 * What is missing may be created, an artifact may come, and a runtime may connect; another spec or a runtime that refuses it needs
 * somebody.
 */
const ready = (
  acceptance: RouteCondition,
  refs: RouteCondition,
  inPlace: Observed,
  classifiers: Observed | undefined,
): Observed[] => {
  if (acceptance.status !== 'True') return readyAs('Failed', acceptance);
  if (inPlace.reason === 'Refused') return readyAs('Failed', inPlace);
  if (refs.reason === 'NotAllowed') return readyAs('Failed', refs);
  if (refs.status !== 'True') return readyAs('InProgress', refs);
  if (inPlace.status === 'True' && classifiers?.status === 'False') return readyAs('InProgress', classifiers);
  return readyAs(inPlace.status === 'True' ? 'Current' : 'InProgress', inPlace);
};

const readyAs = (progress: Progress, { reason, message }: Observed): Observed[] =>
  readiness(progress, reason, message);
