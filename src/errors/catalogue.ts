import { adapterErrors } from './adapter.ts';
import { artifactErrors } from './artifact.ts';
import { controlErrors } from './control.ts';
import { dashboardErrors } from './dashboard.ts';
import { egressErrors } from './egress.ts';
import { engineErrors } from './engine.ts';
import { kubeErrors } from './kube.ts';
import { measurementErrors } from './measurement.ts';
import { policyErrors } from './policy.ts';
import { requestErrors } from './request.ts';
import { runtimeErrors } from './runtime.ts';
import { signatureErrors } from './signature.ts';

/** Every error that Adaptlet can answer with. docs/reference/errors.md is generated from it. */
export const catalogue = {
  ...adapterErrors,
  ...artifactErrors,
  ...controlErrors,
  ...dashboardErrors,
  ...egressErrors,
  ...engineErrors,
  ...kubeErrors,
  ...measurementErrors,
  ...policyErrors,
  ...requestErrors,
  ...runtimeErrors,
  ...signatureErrors,
};

export type ErrorCode = keyof typeof catalogue;
