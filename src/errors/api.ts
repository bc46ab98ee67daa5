import { defineErrors } from './define.ts';

/** Manifests that are refused. */
export const apiErrors = defineErrors({
  MANIFEST_INVALID: {
    summary: 'A manifest is not valid.',
    advice: 'Correct the field that the message names; `adaptlet lint FILE` checks it offline.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
});
