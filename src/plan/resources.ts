import { createHash } from 'node:crypto';
import type { AdapterSpec, PreloadTier } from '../api/adapter.ts';
import type { Classifier } from '../api/classifier.ts';
import type { Digest, ObjectKey } from '../api/names.ts';
import type { PolicySpec } from '../api/policy.ts';
import type { GuardSpec, HashOn } from '../api/rollout.ts';
import type { BoundAdapter } from '../api/rollout-status.ts';
import type { Rule } from '../api/route.ts';
import type { SecretKey } from '../api/secret-keys.ts';
import type { Signers } from '../api/signatures.ts';
import type { Source } from '../api/source.ts';
import type { Validation } from '../api/validation.ts';
import { canonicalJson } from './canonical.ts';

/**
 * An Adapter as the plan has it: what a runtime may hold. On the wire, and in what runtimes keep, its type is called
 * `AdapterSpec`; that name is part of the protocol. `tier` is the lowest tier that the plan wants it at on this runtime.
 */
export type AdapterResource = {
  readonly type: 'AdapterSpec';
  readonly name: ObjectKey;
  readonly body: {
    readonly uid: string;
    readonly baseModel: string;
    readonly baseModelDigests: readonly Digest[];
    readonly source: Source;
    /** Absent: the first fetch resolves it, and from then on it is fixed for this uid. */
    readonly digest?: Digest;
    /** Who has to have signed it by its own spec. Absent: nobody. */
    readonly signatures?: Signers;
    /**
     * The policy of its namespace says who has to have signed it. A runtime that does not know the policy does not serve it;
     * one that does not know this field does not take it, and goes on with what it had of it.
     */
    readonly signed?: true;
    readonly priority: AdapterSpec['priority'];
    readonly pinned: boolean;
    readonly tier: PreloadTier;
    /** A rollout that is not settled holds it: never evicted. */
    readonly held: boolean;
    readonly validation: Validation;
  };
};

/** How one rollout divides its traffic. The runtime applies `weight` only while the canary is Resident there. */
export type SplitResource = {
  readonly type: 'Split';
  readonly name: ObjectKey;
  readonly body: {
    readonly uid: string;
    readonly createdAt: string;
    readonly stable?: BoundAdapter;
    /** The stable before this one: what a rollback by hand on the node goes back to. */
    readonly former?: BoundAdapter;
    /** A higher `attempt` than before: what this node held back or refused is tried again. */
    readonly canary?: BoundAdapter & { readonly seed: string; readonly attempt: number };
    /** Percent of requests allowed for the canary, 0 to 100. */
    readonly weight: number;
    /** Percent of the requests that stable answers of which the canary gets a copy, 1 to 100. Absent: none. */
    readonly mirror?: number;
    readonly hashOn: HashOn;
    readonly guard: GuardSpec;
    /** Absent: no. Present: the base model answers while no version of the rollout can. */
    readonly fallbackToBase?: true;
    /** Why there is no stable yet, for the answer to a request. */
    readonly message: string;
  };
};

export type RouteResource = {
  readonly type: 'Route';
  readonly name: ObjectKey;
  readonly body: {
    readonly uid: string;
    readonly createdAt: string;
    readonly model: string;
    readonly rules: readonly Rule[];
    /** Absent: none. */
    readonly classifiers?: readonly Classifier[];
    /** Signs the tokens of sessions, 32 bytes as base64url; of a route whose rules keep decisions. Secret. */
    readonly sessionKey?: string;
  };
};

/** What a namespace may do. Its key is `namespace/default`. */
export type PolicyResource = {
  readonly type: 'Policy';
  readonly name: ObjectKey;
  readonly body: PolicySpec & {
    readonly uid: string;
    /** It holds for namespaces that have none. */
    readonly isDefault: boolean;
  };
};

/** Keys of callers out of the Secrets of a namespace: their digests. Its key is `namespace/secrets`. */
export type KeysResource = {
  readonly type: 'Keys';
  readonly name: ObjectKey;
  readonly body: { readonly keys: readonly SecretKey[] };
};

export type Resource = AdapterResource | SplitResource | RouteResource | PolicyResource | KeysResource;

/** A resource with the hash of its body: equal hash, equal meaning. */
export type Versioned<R extends Resource = Resource> = R & { readonly version: string };

/** What one runtime must hold and how it must route. Keyed by `type name`. */
export type Plan = ReadonlyMap<string, Versioned>;

export const resourceKey = (r: Pick<Resource, 'type' | 'name'>): string => `${r.type} ${r.name}`;

/** Hash of a body: 16 hexadecimal digits of the sha256 of its canonical JSON. Equal version, equal meaning. */
export const versionOf = (body: Resource['body']): string =>
  createHash('sha256').update(canonicalJson(body)).digest('hex').slice(0, 16);

export const versioned = <R extends Resource>(resource: R): Versioned<R> => ({
  ...resource,
  version: versionOf(resource.body),
});
