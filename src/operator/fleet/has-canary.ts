import type { RuntimeState } from './fleet.ts';

/** True when the runtime reports a canary that is on trial there. */
export const hasCanary = (runtime: Pick<RuntimeState, 'rollouts'> | undefined): boolean =>
  runtime?.rollouts.values().some(({ canaryDigest }) => canaryDigest !== '') ?? false;
