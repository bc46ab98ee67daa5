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
