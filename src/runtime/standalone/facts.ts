import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { Manifest, RolloutObject } from '../../api/objects.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';
import type { AdapterFact, Facts } from '../../rollout/facts.ts';

/** What residency says of one adapter. */
export type AdapterState = {
  readonly uid: string;
  readonly digest: Digest | '';
  readonly state: string;
  /** Error code of a failure, else ''. */
  readonly reason: string;
  readonly message: string;
};

type Sources = {
  readonly adapter: (key: ObjectKey) => AdapterState | undefined;
  readonly holds: (
    rolloutUid: string,
  ) => readonly { readonly canaryDigest: string; readonly reason: string }[];
};

/** The facts of this one runtime that a rollout is decided with. */
export const factsOf = (rollout: RolloutObject, objects: readonly Manifest[], sources: Sources): Facts => {
  const { namespace, uid } = rollout.metadata;
  const fact = (name: string): AdapterFact | undefined => {
    const object = objects.find(
      (m) => m.kind === 'Adapter' && m.metadata.namespace === namespace && m.metadata.name === name,
    );
    if (object?.kind !== 'Adapter') return undefined;
    const here = sources.adapter(objectKey(namespace, name));
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
  const stable = rollout.status?.stable?.adapter;
  return {
    target: fact(rollout.spec.adapter),
    stable: stable === undefined || stable === rollout.spec.adapter ? undefined : fact(stable),
    held: sources.holds(uid).map((h) => ({ digest: h.canaryDigest as Digest, reason: h.reason })),
  };
};

/** A failure that is tried again by itself (a registry that is away) is not a verdict about the adapter. */
const stateOf = (here: AdapterState | undefined): AdapterFact['state'] => {
  if (here?.state === 'Resident') return 'Resident';
  if (here?.state !== 'Failed') return 'Pending';
  return catalogue[here.reason as ErrorCode]?.retry === 'Backoff' ? 'Pending' : 'Failed';
};
