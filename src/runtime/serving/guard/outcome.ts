import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** How a request ended, as the guard of a rollout counts it. */
export type Outcome = 'success' | 'failure' | 'neutral';

/** Codes that say nothing about the adapter: the caller's mistake, the caller's patience, our own load. */
const neutralCodes: ReadonlySet<string> = new Set([
  'REQUEST_CANCELLED',
  'REQUEST_INVALID',
  'DEADLINE_EXCEEDED',
  'QUEUE_FULL',
  'MEMORY_PRESSURE',
  'NAMESPACE_REQUESTS',
  'NAMESPACE_TOKENS',
  'NAMESPACE_ADAPTER_MEMORY',
  'NAMESPACE_ADAPTER_DISK',
  'NAMESPACE_KV_MEMORY',
  'MODEL_NOT_FOUND',
  'PROMPT_TOO_LONG',
  'STRUCTURE_NOT_AVAILABLE',
]);

/** What a failed request tells the guard. Everything that is neither neutral nor a success counts against the arm. */
export const outcomeOf = (error: unknown): Outcome =>
  error instanceof AdaptletError && (neutralCodes.has(error.code) || error.grpcStatus === 'INVALID_ARGUMENT')
    ? 'neutral'
    : 'failure';
