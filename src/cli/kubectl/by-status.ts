import { conditionOf } from '../../api/condition.ts';
import { objectKey } from '../../api/names.ts';
import type { AdapterObject, Manifest, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { maxFailuresNamed } from '../../api/rollout-status.ts';
import { maxNamed, maxUnderWay } from '../../api/runtime.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { restraintOf } from '../../operator/objects/restraint.ts';
import type { ServingFacts } from '../../runtime/routing/decision.ts';

/** What routing asks of a node, as statuses say it. */
export type ByStatus = Required<
  Pick<ServingFacts, 'serves' | 'isHeld' | 'troubleOf' | 'isHere'> & { stateOf(key: string): string }
> & {
  /** Why an Adapter failed there, where it is not tried again by itself; undefined: it did not. */
  readonly refusalOf: (key: string) => string | undefined;
  /** What keeps an Adapter from answering there as stable of a rollout; undefined: nothing. */
  readonly troubleWith: (key: string) => string | undefined;
  /** What lists of statuses that are full may leave out of why an Adapter cannot answer there. */
  readonly unsaidOf: (key: string) => readonly string[];
  /** Why nobody can tell whether an Adapter has requests there as a canary; undefined: `serves` tells. */
  readonly unsaidCanary: (key: string) => string | undefined;
};

const askIt = 'adaptlet explain on the node tells';

/**
 * What the statuses of the objects say of one node. They name a node for each canary, and for each adapter that failed; of the others they
 * have numbers alone, so an adapter counts as there unless they exclude it. What is not in a list that is full may be so all the same.
 *
 * @param connected runtimes of its base model that are connected
 */
export const byStatus = (
  { metadata, status }: RuntimeObject,
  objects: readonly Manifest[],
  connected: number,
): ByStatus => {
  const runtime = objectKey(metadata.namespace, metadata.name);
  const adapters = new Map<string, AdapterObject>();
  const rollouts = new Map<string, RolloutObject>();
  for (const object of objects) {
    if (object.kind === 'Adapter') adapters.set(keyOf(object), object);
    if (object.kind === 'AdapterRollout') rollouts.set(keyOf(object), object);
  }
  const failureOf = (key: string) =>
    adapters.get(key)?.status?.failures.find((one) => one.runtime === metadata.name);
  const canaryAt = (key: string) =>
    status?.rollouts?.find(({ rollout, adapter }) => {
      const { namespace } = rollouts.get(rollout)?.metadata ?? {};
      return namespace !== undefined && objectKey(namespace, adapter) === key;
    });
  const isServing = (key: string): boolean => {
    const canary = canaryAt(key);
    return canary?.follows === true || (canary?.weight ?? 0) > 0;
  };
  /** Rollouts that have an Adapter as this arm. */
  const rolloutsWith = (arm: 'stable' | 'canary', key: string) =>
    [...rollouts.values()].filter(({ metadata: { namespace }, status: of }) => {
      const bound = of?.[arm];
      return bound !== undefined && objectKey(namespace, bound.adapter) === key;
    });
  const stableFailureOf = (key: string): string | undefined =>
    rolloutsWith('stable', key)
      .flatMap(({ status: of }) => of?.failures ?? [])
      .find((one) => one.runtime === runtime && one.reason === 'StableFails')?.message;
  const isHere = (key: string): boolean =>
    status !== undefined &&
    status.adapters.stored > 0 &&
    failureOf(key) === undefined &&
    adapters.get(key)?.status?.runtimes.stored !== 0;
  const refusalOf = (key: string): string | undefined => {
    const failure = failureOf(key);
    // What is tried again by itself says nothing about the adapter.
    return failure === undefined || catalogue[failure.reason as ErrorCode]?.retry === 'Backoff'
      ? undefined
      : `${failure.reason}: ${failure.message}`;
  };
  const unsaidOf = (key: string): readonly string[] => {
    const { failures = [], runtimes } = adapters.get(key)?.status ?? {};
    const { failed = 0 } = runtimes ?? {};
    const isListed = failureOf(key) !== undefined || failures.length >= failed;
    const full = rolloutsWith('stable', key).filter(({ status: of }) => {
      const named = of?.failures ?? [];
      return named.length >= maxFailuresNamed && !named.some((one) => one.runtime === runtime);
    });
    return [
      ...(isListed
        ? []
        : [
            `the status of adapter ${key} names ${failures.length} of ${failed} nodes where it failed, and not this one: it may have failed here; ${askIt}`,
          ]),
      ...full.map(
        (one) =>
          `the status of rollout ${keyOf(one)} names ${maxFailuresNamed} nodes that failed, the most it can, and not this one: its guard may hold stable back here; ${askIt}`,
      ),
    ];
  };
  const unsaidCanary = (key: string): string | undefined => {
    const named = status?.rollouts ?? [];
    const { rollout: last } = named.at(-1) ?? {};
    if (named.length < maxUnderWay || last === undefined || canaryAt(key) !== undefined) return undefined;
    return rolloutsWith('canary', key).some((one) => keyOf(one) > last)
      ? `whether adapter ${key} has requests here as a canary is not in the status of the node, which names ${maxUnderWay} rollouts, the most it can`
      : undefined;
  };
  const stateOf = (key: string): string => {
    const failure = failureOf(key);
    if (failure !== undefined) return `Failed: ${failure.reason}`;
    const canary = canaryAt(key);
    if (canary !== undefined) return isServing(key) ? canary.state : `${canary.state}, without requests`;
    if (!isHere(key)) return 'not on this node: a request has to bring it first';
    const { stored, resident } = adapters.get(key)?.status?.runtimes ?? {};
    if (stored === undefined || resident === undefined) return '';
    if (resident >= connected) return 'in RAM';
    return `${stored >= connected ? 'on disk' : `on disk on ${stored} of ${connected} nodes`}, in RAM on ${resident}`;
  };
  return {
    serves: (key) => isServing(key),
    // What is held has no requests by the status as well.
    isHeld: () => false,
    troubleOf: (uid, key, digest) => {
      const { status: of } = [...rollouts.values()].find((one) => one.metadata.uid === uid) ?? {};
      const failing = of?.stable?.digest === digest ? stableFailureOf(key) : undefined;
      if (failing !== undefined) return { reason: failing, isFinal: false };
      const reason = refusalOf(key);
      return reason === undefined ? undefined : { reason, isFinal: true };
    },
    isHere: (key) => isHere(key),
    stateOf,
    refusalOf,
    troubleWith: (key) => refusalOf(key) ?? stableFailureOf(key),
    unsaidOf,
    unsaidCanary,
  };
};

export const isConnected = ({ status }: RuntimeObject): boolean =>
  conditionOf(status?.conditions, 'Connected')?.status !== 'False';

/** What is to know of a node about requests of a namespace: it may not go by the plan of now. */
export const notesOn = (runtime: RuntimeObject, namespace: string): readonly string[] => {
  const { status } = runtime;
  const restraint = restraintOf(runtime);
  const ready = conditionOf(status?.conditions, 'Ready');
  const isAway = !isConnected(runtime);
  const { refused = [], heldRollouts = [] } = status ?? {};
  const inNamespace = (resource: string): boolean =>
    resource.split(' ').at(-1)?.startsWith(`${namespace}/`) === true;
  return [
    ...(isAway
      ? [
          `it is not connected since ${status?.disconnectedAt ?? 'long ago'}: it goes on with the last plan that it has`,
        ]
      : []),
    ...(!isAway && ready?.status === 'False' ? [`it cannot answer now: ${ready.message}`] : []),
    ...(restraint === 'Cordoned' ? ['it is cordoned: nothing comes there that it does not have'] : []),
    ...(restraint === 'Held' ? ['it is held: it goes by the plan that it had then'] : []),
    ...refused
      .filter(({ resource }) => inNamespace(resource))
      .map(({ resource, reason }) => `it refuses ${resource}, whose former version goes on: ${reason}`),
    ...heldRollouts.filter(inNamespace).map((rollout) => `it holds a version of rollout ${rollout} back`),
    ...(refused.length < maxNamed
      ? []
      : [
          `its status names ${maxNamed} parts of the plan that it refuses, the most it can: it may refuse others; ${askIt}`,
        ]),
    ...(heldRollouts.length < maxNamed
      ? []
      : [
          `its status names ${maxNamed} rollouts of which it holds a version back, the most it can: it may hold others; ${askIt}`,
        ]),
  ];
};
