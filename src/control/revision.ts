import { z } from 'zod';
import type { Revision as WireRevision } from '../gen/adaptlet/control/v1/control.ts';

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
  readonly policies: bigint;
};

const parts = ['adapters', 'rollouts', 'routes', 'runtimes', 'policies'] as const;

/** Before anything was seen. */
export const noRevision: Revision = { adapters: 0n, rollouts: 0n, routes: 0n, runtimes: 0n, policies: 0n };

/** True when `a` has seen everything that `b` has: a partial order, so neither may cover the other. */
export const covers = (a: Revision, b: Revision): boolean => parts.every((part) => a[part] >= b[part]);

/** For logs and reasons: `adapters 12, rollouts 40, routes 3, runtimes 7`. */
export const revisionText = (revision: Revision): string =>
  parts.map((part) => `${part} ${revision[part]}`).join(', ');

export const revisionToWire = (revision: Revision): WireRevision => ({ ...revision });

/** What is absent has seen nothing. */
export const revisionFromWire = (wire: WireRevision | undefined): Revision => wire ?? noRevision;

/**
 * What a runtime has followed once it takes a commit. An operator of an earlier version knows no policies and says 0,
 * which no list of the API server has: that is no step back.
 */
export const followed = (commit: Revision, before: Revision): Revision =>
  commit.policies === 0n ? { ...commit, policies: before.policies } : commit;

/** JSON has no integers of 64 bits: the parts are decimal texts there. */
export const partSchema = z
  .string()
  .regex(/^[0-9]{1,20}$/)
  .transform((digits) => BigInt(digits));

/** Reads what {@link revisionToJson} wrote. */
export const revisionSchema = z.strictObject({
  adapters: partSchema,
  rollouts: partSchema,
  routes: partSchema,
  runtimes: partSchema,
});

/** Without that of policies: an earlier version reads no other parts here. */
export const revisionToJson = ({ adapters, rollouts, routes, runtimes }: Revision) => ({
  adapters: String(adapters),
  rollouts: String(rollouts),
  routes: String(routes),
  runtimes: String(runtimes),
});
