import { isDeepStrictEqual } from 'node:util';
import type { AdapterStatus } from '../../api/adapter-status.ts';
import { adapterColumns } from '../../api/columns.ts';
import {
  conditionOf,
  conditionsOf,
  cut,
  joinCapped,
  type Observed,
  readiness,
  readyTypes,
  verdictsOf,
} from '../../api/condition.ts';
import { imageVersion } from '../../api/image.ts';
import type { Digest } from '../../api/names.ts';
import type { AdapterObject } from '../../api/objects.ts';
import type { OciSource } from '../../api/source.ts';
import type { Placement } from '../../rollout/placement.ts';
import { isKeptOut, type Verdict } from '../reconcile/policy-verdicts.ts';
import type { Resolution } from '../reconcile/resolver.ts';
import { firstOf, keysOf, sizeOf } from '../reconcile/runtime-sets.ts';
import type { SignatureVerdict } from '../reconcile/signature-verdicts.ts';
import type { Use } from '../reconcile/uses.ts';
import { failuresOf, type Seen } from './failures.ts';
import { contentOf, countsOf, type Holder, isFailed, isSatisfied } from './observe.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';
import { notSigned, signatureVerified } from './signed.ts';

type AdapterCondition = Observed<ConditionType, ConditionReason>;

/** Where the digest of an Adapter comes from. Tag: a registry has to be asked. */
export type DigestSource =
  | { readonly kind: 'Known'; readonly digest: Digest; readonly how: 'Pinned' | 'TagResolved' }
  | { readonly kind: 'Tag'; readonly oci: OciSource }
  | { readonly kind: 'Required' };

/** A digest that was written once wins over everything: it never changes. */
export const digestSourceOf = ({ spec, status }: AdapterObject): DigestSource => {
  const { oci } = spec.source;
  const image = oci?.image;
  const pinned = spec.digest ?? (image === undefined ? undefined : imageVersion(image).digest);
  const digest = status?.digest ?? pinned;
  if (digest !== undefined)
    return { kind: 'Known', digest, how: pinned === undefined ? 'TagResolved' : 'Pinned' };
  return oci === undefined ? { kind: 'Required' } : { kind: 'Tag', oci };
};

export type AdapterInput = {
  readonly adapter: AdapterObject;
  readonly source: DigestSource;
  /** Of the tag, where the source is one. */
  readonly resolution: Resolution | undefined;
  readonly nameConflict: string | undefined;
  /** Why it is in no plan, by the policy of its namespace. */
  readonly verdict: Verdict | undefined;
  /** Of its signatures; undefined: nobody has to have signed it. */
  readonly signed: SignatureVerdict | undefined;
  readonly uses: readonly Use[];
  readonly holders: readonly Holder[];
  /** Whether runtimes can hold it. */
  readonly placement: Placement;
  readonly seen: Seen;
  readonly now: string;
  /** The term has just begun, see graceMs. */
  readonly isNewTerm: boolean;
};

export type AdapterDecision = {
  readonly status: AdapterStatus;
  readonly seen: Seen;
  /** Decision: something that programs act on is different. Observation: only counts and messages. */
  readonly change: 'None' | 'Observation' | 'Decision';
};

export const digestOf = (source: DigestSource, resolution: Resolution | undefined): Digest | undefined => {
  if (source.kind === 'Known') return source.digest;
  return source.kind === 'Tag' && resolution?.kind === 'Resolved' ? resolution.answer : undefined;
};

/** The status of an Adapter: pure. While runtimes of a new term are silent, what was written about runtimes stays. */
export const decideAdapter = (input: AdapterInput): AdapterDecision => {
  const { adapter, source, resolution, now, isNewTerm } = input;
  // No plan has it, whatever its spec and rollouts ask for.
  const holders: readonly Holder[] = isKeptOut(input.verdict)
    ? input.holders.map((holder) => ({ ...holder, tier: 'None' }))
    : input.holders;
  const before = adapter.status;
  const digest = digestOf(source, resolution);
  const isUnheard = before !== undefined && holders.some(({ isSilent }) => isSilent);
  const { failures, seen } = failuresOf(holders, before?.failures ?? [], input.seen, { now, isNewTerm });
  const aboutRuntimes: Observed[] = isUnheard
    ? ['Schedulable', 'Compatible', ...Object.keys(readyTypes)].flatMap(
        (type) => conditionOf(before.conditions, type) ?? [],
      )
    : [
        { type: 'Schedulable', ...input.placement },
        compatible(adapter, holders),
        ...ready({ ...input, holders }, digest),
      ];
  const observed = [
    accepted(input),
    resolved(input),
    ...signatureVerified(input.signed, before?.conditions),
    inUse(input.uses),
    ...aboutRuntimes,
  ];
  const runtimes = isUnheard ? before.runtimes : countsOf(holders);
  const status: AdapterStatus = {
    observedGeneration: adapter.metadata.generation,
    ...(digest === undefined ? {} : { digest }),
    ...contentOf(holders, before),
    runtimes,
    columns: adapterColumns({ digest, runtimes }),
    failures: isUnheard ? before.failures : failures,
    conditions: conditionsOf(observed, before?.conditions, now),
  };
  return { status, seen, change: changeOf(before, status) };
};

const changeOf = (before: AdapterStatus | undefined, after: AdapterStatus): AdapterDecision['change'] => {
  if (isDeepStrictEqual(before, after)) return 'None';
  return isDeepStrictEqual(decisionsOf(before), decisionsOf(after)) ? 'Observation' : 'Decision';
};

const decisionsOf = (status: AdapterStatus | undefined): unknown =>
  status && [status.observedGeneration, status.digest, verdictsOf(status.conditions)];

const accepted = ({ nameConflict, verdict }: AdapterInput): AdapterCondition => {
  if (verdict !== undefined)
    return { type: 'Accepted', status: isKeptOut(verdict) ? 'False' : 'Unknown', ...verdict };
  return nameConflict === undefined
    ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'clients may call it by its name' }
    : {
        type: 'Accepted',
        status: 'False',
        reason: 'NameConflict',
        message: `${nameConflict}; rollouts and routes may still use it`,
      };
};

const resolved = ({ adapter, source, resolution, verdict }: AdapterInput): AdapterCondition => {
  const type = 'Resolved';
  if (source.kind === 'Known') {
    return { type, status: 'True', reason: source.how, message: `the digest is ${source.digest}` };
  }
  if (source.kind === 'Required') {
    const { path } = adapter.spec.source;
    const message =
      path === undefined
        ? 'spec.source: in a cluster only a registry is asked for the digest: create a new Adapter with spec.digest set, which `adaptlet digest` prints'
        : 'spec.source.path: in a cluster a path needs spec.digest, so that every node has the same files: create a new Adapter with spec.digest set';
    return { type, status: 'False', reason: 'DigestRequired', message };
  }
  if (verdict !== undefined) {
    return {
      type,
      status: 'Unknown',
      reason: 'NotAsked',
      message: 'the registry is not asked, see Accepted',
    };
  }
  if (resolution?.kind === 'Resolved') {
    return { type, status: 'True', reason: 'TagResolved', message: `the digest is ${resolution.answer}` };
  }
  if (resolution?.kind === 'Failed') {
    return {
      type,
      status: 'False',
      reason: 'ResolveFailed',
      message: `${resolution.code}: ${resolution.message}`,
    };
  }
  return { type, status: 'Unknown', reason: 'Resolving', message: `asks for ${source.oci.image}` };
};

const inUse = (uses: readonly Use[]): AdapterCondition => {
  if (uses.length === 0) {
    return { type: 'InUse', status: 'False', reason: 'NotReferenced', message: 'no rollout uses it' };
  }
  const byRollout = Map.groupBy(uses, ({ rollout }) => rollout);
  const named = [...byRollout].map(
    ([rollout, all]) => `AdapterRollout ${rollout} (${all.map(({ as }) => as).join(', ')})`,
  );
  return { type: 'InUse', status: 'True', reason: 'Referenced', message: joinCapped(named, 10) };
};

/** Failures that say that the adapter and the base model do not go together. */
const misfits: ReadonlySet<string> = new Set([
  'ADAPTER_WRONG_BASE',
  'ADAPTER_BASE_MISMATCH',
  'ADAPTER_SHAPE',
  'ADAPTER_TENSOR_UNKNOWN',
]);

const compatible = ({ spec }: AdapterObject, holders: readonly Holder[]): AdapterCondition => {
  const type = 'Compatible';
  if (holders.length === 0) {
    return { type, status: 'Unknown', reason: 'NoRuntime', message: noRuntime(spec.baseModel) };
  }
  const builds: readonly string[] | undefined = spec.baseModelDigests;
  const others = holders.filter(
    ({ baseDigest }) => baseDigest !== '' && builds?.includes(baseDigest) === false,
  );
  if (others.length > 0) {
    const where = namesOf(others);
    const message = `spec.baseModelDigests does not list the build of ${spec.baseModel} on ${where}`;
    return { type, status: 'False', reason: 'OtherBuild', message };
  }
  const misfit = firstOf(
    holders.filter(({ state }) => state?.state === 'Failed' && misfits.has(state.reason)),
  );
  if (misfit !== undefined) {
    return { type, status: 'False', reason: 'Refused', message: failureText(misfit) };
  }
  return holders.some(({ state }) => state?.state === 'Resident' || state?.state === 'Loaded')
    ? { type, status: 'True', reason: 'Validated', message: `it fits ${spec.baseModel}` }
    : { type, status: 'Unknown', reason: 'NotTried', message: 'no runtime has loaded it yet' };
};

const ready = (
  { adapter, source, uses, holders, verdict, signed }: AdapterInput,
  digest: Digest | undefined,
): AdapterCondition[] => {
  if (isKeptOut(verdict)) return readiness('Failed', verdict.reason, verdict.message);
  if (digest === undefined) {
    // A tag that a registry does not give is asked for again; another source never gets a digest.
    const progress = source.kind === 'Required' ? 'Failed' : 'InProgress';
    return readiness(progress, 'NotResolved', 'its digest is not known, see Resolved');
  }
  const unsigned = notSigned(signed, adapter.status?.conditions);
  if (unsigned !== undefined) return readiness('Failed', unsigned.reason, unsigned.message);
  const { preload, baseModel } = adapter.spec;
  const isWanted = preload.tier !== 'None' || uses.length > 0;
  if (isWanted && holders.length === 0) return readiness('InProgress', 'NoRuntime', noRuntime(baseModel));
  const desired = holders.filter(({ tier }) => tier !== 'None');
  const missing = desired.filter((holder) => !isSatisfied(holder));
  const failures = (desired.length === 0 ? holders : missing).filter(isFailed);
  const count = `${sizeOf(desired) - sizeOf(missing)} of ${sizeOf(desired)} runtimes have it`;
  const failed = firstOf(failures.filter(isRefused)) ?? firstOf(failures);
  if (failed !== undefined) {
    const message = desired.length === 0 ? failureText(failed) : `${count}; ${failureText(failed)}`;
    return readiness(isRefused(failed.group) ? 'Failed' : 'InProgress', 'Failed', message);
  }
  if (missing.length > 0)
    return readiness('InProgress', 'NotEverywhere', `${count}; not ${namesOf(missing)}`);
  return desired.length === 0
    ? readiness('Current', 'OnDemand', 'it is brought when a request asks for it')
    : readiness('Current', 'EverywhereReady', count);
};

/** Nothing tries it again by itself. */
const isRefused = ({ state }: Holder): boolean => state?.state === 'Failed' && state.isFinal;

const noRuntime = (baseModel: string): string => `no runtime with the base model ${baseModel} is connected`;
const namesOf = (holders: readonly Holder[]): string => joinCapped(keysOf(holders), 3);

type Found = { readonly key: string; readonly group: Holder };
const failureText = ({ key, group: { state } }: Found): string =>
  cut(`${key}: ${[state?.reason, state?.message].filter(Boolean).join(': ')}`, 1000);
