/**
 * How far a replica had seen each kind of object: the resourceVersion of its collection, as its last event, bookmark or
 * list had it. Only versions of one collection are compared with each other
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
 */
export type Revision = {
  readonly adapters: bigint;
  readonly rollouts: bigint;
  readonly routes: bigint;
  readonly runtimes: bigint;
};

const parts = ['adapters', 'rollouts', 'routes', 'runtimes'] as const;

/** Before anything was seen. */
export const noRevision: Revision = { adapters: 0n, rollouts: 0n, routes: 0n, runtimes: 0n };

/** True when `a` has seen everything that `b` has: a partial order, so neither may cover the other. */
export const covers = (a: Revision, b: Revision): boolean => parts.every((part) => a[part] >= b[part]);
