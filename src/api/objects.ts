import type { AdapterSpec } from './adapter.ts';
import type { AdapterStatus } from './adapter-status.ts';
import type { AnalysisSpec } from './analysis.ts';
import type { PolicySpec } from './policy.ts';
import type { RolloutSpec } from './rollout.ts';
import type { RolloutStatus } from './rollout-status.ts';
import type { RouteSpec } from './route.ts';
import type { RouteStatus } from './route-status.ts';

/** What a manifest file says of an object's metadata. */
export type ParsedMeta = {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
};

/** What Adaptlet reads of an object's metadata. uid and generation are given by the API server, or by the manifest folder. */
export type Meta = ParsedMeta & {
  readonly uid: string;
  readonly generation: number;
  readonly creationTimestamp: string;
};

export type AdapterObject = {
  readonly kind: 'Adapter';
  readonly metadata: Meta;
  readonly spec: AdapterSpec;
  readonly status?: AdapterStatus;
};
export type RolloutObject = {
  readonly kind: 'AdapterRollout';
  readonly metadata: Meta;
  readonly spec: RolloutSpec;
  /** Why its analyses are not valid; `spec` then stands for the rest of it, and nothing may advance by it. */
  readonly invalidAnalyses?: string;
  readonly status?: RolloutStatus;
};
export type RouteObject = {
  readonly kind: 'AdapterRoute';
  readonly metadata: Meta;
  readonly spec: RouteSpec;
  readonly status?: RouteStatus;
};
/** Has no status: what is wrong with it, the rollouts say that refer to it. */
export type AnalysisObject = {
  readonly kind: 'AdapterAnalysis';
  readonly metadata: Meta;
  readonly spec: AnalysisSpec;
};
/** It has no status: what it asks for is in force as it is. */
export type PolicyObject = {
  readonly kind: 'AdapterPolicy';
  readonly metadata: Meta;
  readonly spec: PolicySpec;
};
/** The kinds that plans are compiled from. */
export type Manifest = AdapterObject | RolloutObject | RouteObject | PolicyObject;
/** The kinds that users write. */
export type UserObject = Manifest | AnalysisObject;

type Parsed<M extends UserObject> = Pick<M, 'kind' | 'spec'> & { readonly metadata: ParsedMeta };
/** An object as a manifest file has it: without what the API server, or the manifest folder, gives it. */
export type ParsedManifest =
  | Parsed<AdapterObject>
  | Parsed<RolloutObject>
  | Parsed<RouteObject>
  | Parsed<AnalysisObject>
  | Parsed<PolicyObject>;
