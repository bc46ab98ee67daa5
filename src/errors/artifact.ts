import { defineErrors } from './define.ts';

/** Fetching and keeping artifacts. */
export const artifactErrors = defineErrors({
  STORE_LOCKED: {
    summary: 'Another process owns the content store.',
    advice: 'Stop the other runtime or give this one its own --data-dir.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
});
