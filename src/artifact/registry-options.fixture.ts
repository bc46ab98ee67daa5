import { systemClock } from '../time/clock.ts';

/** Of a client that logs in nowhere and tries once; `fetch` comes besides. */
export const registryOptions = {
  clock: systemClock,
  random: () => 0,
  attempts: 1,
  idleMs: 5_000,
  insecureHosts: [],
  credentials: () => Promise.resolve(undefined),
};
