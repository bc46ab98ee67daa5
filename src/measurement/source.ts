import type { ExternalSource } from '../api/analysis.ts';
import type { PlaceholderName, SecretRef } from '../api/metric-source.ts';

export type { ExternalSource } from '../api/analysis.ts';

/** What placeholders stand for. Those of stable are missing while a rollout has no stable adapter. */
export type Variables = Readonly<Partial<Record<PlaceholderName, string>>> & {
  readonly namespace: string;
  readonly rollout: string;
};

/**
 * Asks a server for one number, which may be NaN or infinite.
 * @throws METRIC_UNAVAILABLE, METRIC_DENIED, METRIC_UNREADABLE
 */
export type Measure = (source: ExternalSource, variables: Variables, signal: AbortSignal) => Promise<number>;

/**
 * The value of the Authorization header that a Secret of a namespace gives. It is in no message.
 * @throws METRIC_CREDENTIALS, KUBE_*
 */
export type Credentials = (namespace: string, ref: SecretRef, signal: AbortSignal) => Promise<string>;

/** The most bytes of an answer that are read, after decompression. */
export const maxAnswerBytes = 1024 * 1024;

/** How long one measurement may take, from the first byte sent to the last one read. */
export const measurementTimeoutMs = 10_000;
