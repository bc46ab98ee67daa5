import { AdaptletError, errorCodeOf } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { removeFinalizer } from '../kube/client/apply.ts';
import { listObjects } from '../kube/client/list.ts';
import { pathOf, type ResourceType } from '../kube/client/object.ts';
import type { Election } from '../kube/lease/election.ts';
import { createElection } from '../kube/lease/elector.ts';
import type { Log } from '../telemetry/log.ts';
import type { Clock } from '../time/clock.ts';
import { addressAnnotation, leaseName, renewPart, retryPart } from './lease.ts';
import { adapterType } from './objects/resource-types.ts';
import { inUseFinalizer } from './reconcile/uses.ts';

export type ReleaseParts = {
  readonly api: KubeApi;
  /** Of the operator. */
  readonly namespace: string;
  /** Unique to this process. */
  readonly identity: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
  /** Ends it. */
  readonly signal: AbortSignal;
};

/** The Deployment of the Helm chart. */
const deploymentName = 'adaptlet-operator';
const deploymentType: ResourceType = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
};
const fieldManager = 'adaptlet-operator';
/** As long as that of the operator's default; how long another leader's lasts is in the record. */
const leaseMs = 20_000;

/**
 * Takes the finalizer off every Adapter, for an operator that goes for good: nobody else would, and their namespaces could
 * not be deleted. Only a leader writes finalizers, so this stops the operator and leads in its place until it is done.
 * @returns the number of Adapters that had it
 * @throws KUBE_*, the reason of the signal
 */
export const releaseAdapters = async (parts: ReleaseParts): Promise<number> => {
  const { api, namespace, identity, clock, random, logger, signal } = parts;
  await stopOperator(api, namespace, signal);
  const election = createElection({
    api,
    namespace,
    name: leaseName,
    identity,
    address: '',
    addressAnnotation,
    leaseMs,
    renewEveryMs: leaseMs * renewPart,
    retryEveryMs: leaseMs * retryPart,
    clock,
    random,
    logger,
  });
  try {
    await leading(election, signal);
    return await removeAll(api, election, signal);
  } finally {
    await election.close();
  }
};

/** Also when something started it again: its replicas only wait for the lease meanwhile. */
const stopOperator = async (api: KubeApi, namespace: string, signal: AbortSignal): Promise<void> => {
  try {
    await api.request({
      method: 'PATCH',
      path: pathOf(deploymentType, namespace, deploymentName, 'scale'),
      query: { fieldManager },
      contentType: 'application/merge-patch+json',
      body: { spec: { replicas: 0 } },
      signal,
    });
  } catch (error) {
    // It is gone already, or it is no Deployment: then whoever runs it stops it.
    if (errorCodeOf(error) !== 'KUBE_NOT_FOUND') throw error;
  }
};

const leading = async (election: Election, signal: AbortSignal): Promise<void> => {
  const led = Promise.withResolvers<void>();
  const stop = (): void => {
    const holder = election.holder()?.identity ?? 'nobody that can be seen';
    const advice = 'Stop whatever runs the operator, then try again.';
    led.reject(
      new AdaptletError('NOT_LEADER', `the Lease ${leaseName} is held by ${holder}`, {
        cause: signal.reason,
        advice,
      }),
    );
  };
  const unfollow = election.onChange(({ isLeader }) => {
    if (isLeader) led.resolve();
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    election.start();
    await led.promise;
  } finally {
    unfollow();
    signal.removeEventListener('abort', stop);
  }
};

const removeAll = async (api: KubeApi, election: Election, signal: AbortSignal): Promise<number> => {
  const released = new Set<string>();
  for (;;) {
    let left = 0;
    for await (const adapter of adaptersOf(api, signal)) {
      if (adapter.metadata.finalizers?.includes(inUseFinalizer) !== true) continue;
      left++;
      election.fence();
      try {
        await removeFinalizer(api, adapterType, adapter, inUseFinalizer, { fieldManager, signal });
        released.add(adapter.metadata.uid);
      } catch (error) {
        // It changed or went meanwhile: the next round sees it as it is.
        if (!['KUBE_CONFLICT', 'KUBE_NOT_FOUND'].includes(errorCodeOf(error))) throw error;
      }
    }
    if (left === 0) return released.size;
  }
};

/** Those of all namespaces; none where the CRD is gone. */
const adaptersOf = async function* (api: KubeApi, signal: AbortSignal) {
  try {
    yield* listObjects(api, adapterType, { signal });
  } catch (error) {
    if (errorCodeOf(error) !== 'KUBE_NOT_FOUND') throw error;
  }
};
