import { adapterErrors } from './adapter.ts';
import { artifactErrors } from './artifact.ts';
import { engineErrors } from './engine.ts';
import { requestErrors } from './request.ts';
import { runtimeErrors } from './runtime.ts';

/** Every error that Adaptlet can answer with. docs/reference/errors.md is generated from it. */
export const catalogue = {
  ...adapterErrors,
  ...artifactErrors,
  ...engineErrors,
  ...requestErrors,
  ...runtimeErrors,
};

export type ErrorCode = keyof typeof catalogue;
