import { apiVersionOf, type KubeObject, microTime, type ResourceType } from '../client/object.ts';

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/ */
export type Lease = KubeObject & {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string | null;
    readonly renewTime?: string | null;
    readonly leaseTransitions?: number;
  };
};

export const leaseType: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

export type Holder = { readonly identity: string; readonly address: string };

/** What one elector writes into the record while it wants or has the lease. */
export type Claim = {
  /** MicroTime. With the identity it tells the claim from all others. */
  readonly acquireTime: string;
  readonly epoch: number;
  /**
   * False where nobody can know who held the lease before: there was no record, or nobody had signed it off. Then the
   * lease of whoever it was must run out before this claim counts.
   */
  readonly knowsBefore: boolean;
};

export type RecordOptions = {
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly address: string;
  readonly addressAnnotation: string;
  readonly leaseMs: number;
};

/** Undefined when nobody holds the lease. */
export const holderOf = (lease: Lease, addressAnnotation: string): Holder | undefined => {
  const identity = lease.spec?.holderIdentity ?? '';
  return identity === ''
    ? undefined
    : { identity, address: lease.metadata.annotations?.[addressAnnotation] ?? '' };
};

export const epochOf = (lease: Lease): number => lease.spec?.leaseTransitions ?? 0;

/** How long the holder may act without renewing, in milliseconds. */
export const durationOf = (lease: Lease, unless: number): number => {
  const seconds = lease.spec?.leaseDurationSeconds ?? 0;
  return seconds > 0 ? seconds * 1000 : unless;
};

export const isClaimedBy = ({ spec }: Lease, identity: string, claim: Claim): boolean =>
  spec?.holderIdentity === identity && spec.acquireTime === claim.acquireTime;

/**
 * True when the last holder gave the lease up by itself: then nobody acts on it any more. Who only empties the holder, or
 * replaces the record by a new one, leaves a holder behind that does not know yet.
 */
export const isReleased = ({ spec }: Lease): boolean =>
  (spec?.holderIdentity ?? '') === '' && typeof spec?.renewTime === 'string' && spec.acquireTime == null;

/** The record with the claim in it: to be created, or written over `old`. */
export const claimed = (old: Lease | undefined, claim: Claim, now: number, options: RecordOptions) => ({
  apiVersion: apiVersionOf(leaseType),
  kind: leaseType.kind,
  metadata: {
    ...(old?.metadata ?? { name: options.name, namespace: options.namespace }),
    annotations: { ...old?.metadata.annotations, [options.addressAnnotation]: options.address },
  },
  spec: {
    ...old?.spec,
    holderIdentity: options.identity,
    leaseDurationSeconds: Math.ceil(options.leaseMs / 1000),
    acquireTime: claim.acquireTime,
    renewTime: microTime(now),
    leaseTransitions: claim.epoch,
  },
});

/** The record as its holder leaves it. */
export const released = (old: Lease, now: number, { addressAnnotation }: RecordOptions) => ({
  ...old,
  metadata: { ...old.metadata, annotations: { ...old.metadata.annotations, [addressAnnotation]: '' } },
  spec: { ...old.spec, holderIdentity: '', acquireTime: null, renewTime: microTime(now) },
});
