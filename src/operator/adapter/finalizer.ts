/** Keeps an Adapter object while a rollout uses it, so that a prune cannot pull stable away. */
export const inUseFinalizer = 'adaptlet.io/in-use';
