import type { ServedBy } from '../../../src/runtime/routing/request.ts';

/** A runtime that the real clients are pointed at, and what is known of its answers. */
export type Target = {
  readonly grpcAddress: string;
  /** Without a slash at the end. */
  readonly httpUrl: string;
  readonly version: string;
  readonly models: {
    readonly base: string;
    /** Name of an Adapter that is Resident, or becomes so. */
    readonly adapter: string;
    /** Name of a rollout whose stable is that Adapter. */
    readonly rollout: string;
  };
  /** Greedy answers to one prompt that end by themselves within `maxTokens`, or are cut there: trimmed texts. */
  readonly sample: {
    readonly prompt: string;
    readonly maxTokens: number;
    readonly base: string;
    readonly adapter: string;
  };
};

/** One with a route whose rule leads to the rollout. */
export type RoutedTarget = Target & {
  readonly route: {
    readonly name: string;
    /** What its answers say of themselves. */
    readonly served: Pick<ServedBy, 'adapter' | 'rollout' | 'arm' | 'rule'> & { readonly digest: string };
  };
};

/** A runtime whose base model takes tools. It was not trained for them: what a request forces is all that it does with them. */
export type ToolTarget = {
  /** Without a slash at the end. */
  readonly httpUrl: string;
  readonly model: string;
  readonly prompt: string;
  /** Room for a forced answer, also beside one that came before. */
  readonly maxTokens: number;
};
