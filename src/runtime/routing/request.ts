import type { Digest } from '../../api/names.ts';

/** Who asks, for what. Header names are lower-case. */
export type RequestContext = {
  readonly namespace: string;
  /** The name that the client sent as `model` or `model_name`. */
  readonly model: string;
  /** Its credential, as `namespace/name` of the policy that has it; absent: anonymous. */
  readonly caller?: string;
  readonly user?: string;
  readonly session?: string;
  readonly tenant?: string;
  /** From -1000 to 1000; absent: 0. */
  readonly priority?: number;
  /** False: each step of the engine gives it one token. */
  readonly speculate?: boolean;
  readonly headers: ReadonlyMap<string, string>;
  /** What rules see of the prompt; absent: it has no text. In no log and no trace. */
  readonly prompt?: PromptText;
};

/** The beginning of a prompt. */
export type PromptText = {
  readonly text: string;
  /** There is more. */
  readonly isCut: boolean;
};

export type Arm = 'stable' | 'canary' | 'base';

/** What produced an answer. Sent with every response. */
export type ServedBy = {
  /** Name of the Adapter, or '' for the base model. */
  readonly adapter: string;
  /** Of the adapter, or of the base model. */
  readonly digest: Digest;
  readonly rollout: string;
  /** '' when an Adapter was asked for by its own name. */
  readonly arm: Arm | '';
  readonly rule: string;
  /** What classifiers said that were asked on the way; absent: none was. */
  readonly classified?: string;
  /** By which a node knows the session again; absent: its rule keeps no decisions, or there are no tokens here. */
  readonly sessionToken?: string;
};
