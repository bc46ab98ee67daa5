import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';
import type { CopyCounts } from '../../rollout/copies.ts';
import type { AdapterFact, Facts, Held } from '../../rollout/facts.ts';
import type { Reports } from '../../rollout/judge/reports.ts';

/** What residency says of one adapter. */
export type AdapterState = {
  readonly uid: string;
  readonly digest: Digest | '';
  readonly state: string;
  /** It can answer requests of a canary. */
  readonly serves: boolean;
  /** Error code of a failure, else ''. */
  readonly reason: string;
  readonly message: string;
};

/** What this node knows, as rollouts ask for it. */
export type NodeFacts = {
  /** State of an Adapter here; undefined while the plan does not hold it. */
  readonly adapter: (key: ObjectKey) => AdapterState | undefined;
  readonly holds: (rolloutUid: string) => readonly Held[];
  /** What was counted here of an attempt of a canary. */
  readonly reports: (rolloutUid: string, canary: Digest, attempt: number) => Reports;
  /** What became of copies that it was given here. */
  readonly mirrored?: (rolloutUid: string, canary: Digest, attempt: number) => CopyCounts | undefined;
  /** Whether adapters fit into RAM together; `unknown`: those whose size is not known yet. */
  readonly fits: (keys: readonly ObjectKey[]) => {
    readonly fits: boolean;
    readonly message: string;
    readonly unknown: readonly ObjectKey[];
  };
};

/** The facts of this one runtime that a rollout is decided with. */
export const factsOf = (
  rollout: RolloutObject,
  adapters: ReadonlyMap<ObjectKey, AdapterObject>,
  node: NodeFacts,
): Facts => {
  const { namespace, uid } = rollout.metadata;
  const { stable, canary } = rollout.status ?? {};
  const target = objectKey(namespace, rollout.spec.adapter);
  const former = stable === undefined ? undefined : objectKey(namespace, stable.adapter);
  const room = former === undefined ? undefined : node.fits([former, target]);
  return {
    target: factOf(target, adapters, node),
    stable: former === undefined || former === target ? undefined : factOf(former, adapters, node),
    ...(room === undefined || room.unknown.length > 0 ? {} : { room }),
    whyNotBack: ({ adapter, uid: its }) => whyNotBack(node.adapter(objectKey(namespace, adapter)), its),
    held: node.holds(uid),
    ...(canary === undefined
      ? {}
      : {
          reports: node.reports(uid, canary.digest, canary.attempt),
          mirrored: node.mirrored?.(uid, canary.digest, canary.attempt),
        }),
  };
};

/** What its policy or its signatures speak against does not serve, however often it is tried. */
const whyNotBack = (here: AdapterState | undefined, uid: string): string | undefined =>
  here?.uid === uid &&
  here.state === 'Failed' &&
  (here.reason === 'SOURCE_NOT_ALLOWED' || here.reason.startsWith('SIGNATURE_'))
    ? `${here.reason}: ${here.message}`
    : undefined;

const factOf = (
  key: ObjectKey,
  adapters: ReadonlyMap<ObjectKey, AdapterObject>,
  node: NodeFacts,
): AdapterFact | undefined => {
  const object = adapters.get(key);
  if (object === undefined) return undefined;
  const here = node.adapter(key);
  // What residency has under this name may still be a former object of it.
  const current = here?.uid === object.metadata.uid ? here : undefined;
  return {
    uid: object.metadata.uid,
    digest: current === undefined || current.digest === '' ? undefined : current.digest,
    state: stateOf(current),
    reason: current?.reason ?? '',
    message: current?.message ?? '',
    baseModel: object.spec.baseModel,
  };
};

/** A failure that is tried again by itself (a registry that is away) is not a verdict about the adapter. */
const stateOf = (here: AdapterState | undefined): AdapterFact['state'] => {
  if (here?.serves) return 'Resident';
  if (here?.state !== 'Failed') return 'Pending';
  return catalogue[here.reason as ErrorCode]?.retry === 'Backoff' ? 'Pending' : 'Failed';
};
