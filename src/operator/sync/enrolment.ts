import { apiVersion } from '../../api/names.ts';
import { covers, revisionText } from '../../control/revision.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { pathOf } from '../../kube/client/object.ts';
import type { Clock } from '../../time/clock.ts';
import { until } from '../../time/until.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import type { Nodes } from '../nodes/nodes.ts';
import type { Objects } from '../objects/objects.ts';
import { type Policies, podRefusal } from '../objects/policies.ts';
import { runtimeType } from '../objects/resource-types.ts';
import type { ReadHello } from './hello.ts';
import { peerAnnotation } from './sites.ts';

/** Owns the labels that a runtime and its Node give an AdapterRuntime; other labels belong to who set them. */
export const fieldManager = 'adaptlet-runtime';

/** Keys of these labels: how one that is no longer there is noticed. */
const labelKeysAnnotation = 'adaptlet.io/runtime-labels';

/** How long a runtime waits for this replica to see what it must. Shorter than the runtime waits for a Welcome. */
const patienceMs = 12_000;
/** Events that are under way come within this time; after it the replica looks by itself. */
const eventMs = 500;

export type EnrolmentParts = {
  readonly api: KubeApi;
  readonly objects: Objects;
  readonly nodes: Pick<Nodes, 'labelsAt'>;
  readonly clock: Clock;
};

/**
 * A pod may be a runtime where the policy of its namespace says so, and where there is no policy at all.
 * @throws POD_NOT_ALLOWED
 */
export const assertAllowed = (
  { kind, key, namespace }: BoundRuntime,
  policies: Pick<Policies, 'of'>,
): void => {
  const refusal = kind === 'Pod' ? podRefusal(policies.of(namespace), key) : undefined;
  if (refusal !== undefined) throw refusal;
};

/**
 * Gives a runtime its AdapterRuntime with its own labels and those of its Node, and waits until this replica has seen it
 * and everything that the runtime has.
 * Nothing is written when it is as it should be. That of a device was there before it.
 * @throws REPLICA_UNAVAILABLE, REPLICA_BEHIND, DEVICE_REVOKED, the reason of the signal
 */
export const enrol = async (
  { api, objects, nodes, clock }: EnrolmentParts,
  runtime: BoundRuntime,
  hello: Pick<ReadHello, 'labels' | 'clusterUid' | 'peerAddress' | 'revision'>,
  clusterUid: string,
  signal: AbortSignal,
): Promise<void> => {
  // The Node may change meanwhile, which is another enrolment. Labels decide which namespaces it serves: of a device they are
  // those that its AdapterRuntime has.
  const labels = runtime.device === undefined ? nodes.labelsAt(runtime.node, hello.labels) : {};
  // Nobody but an administrator writes the AdapterRuntime of a device.
  const annotations = annotationsOf(runtime, hello.peerAddress, labels);
  const written = { labels, annotations };
  const isThere = (): boolean => runtime.device !== undefined || isEnrolled(objects, runtime, written);
  const wait = { clock, ms: patienceMs, signal };
  const refusal = runtime.device?.refusal();
  if (refusal !== undefined) throw refusal;
  if (!isThere()) {
    await apply(api, runtime, written, signal);
    const seen = await until(isThere, (look) => objects.runtimes.onChange(look), wait);
    if (!seen) {
      const { reason } = objects.health();
      throw new AdaptletError(
        'REPLICA_UNAVAILABLE',
        `this replica does not see the AdapterRuntime ${runtime.key} that it wrote${reason === '' ? '' : `: ${reason}`}`,
      );
    }
  }
  // Revisions of another cluster mean nothing here; the runtime decides about it when it reads the Welcome.
  if (hello.clusterUid !== clusterUid) return;
  const covered = (ms: number): Promise<boolean> =>
    until(
      () => covers(objects.seen(), hello.revision),
      (look) => objects.onProgress(look),
      { ...wait, ms },
    );
  let isCovered = await covered(eventMs);
  if (!isCovered) {
    // A quiet collection says only once a minute how far it was seen.
    objects.catchUp(hello.revision);
    isCovered = await covered(patienceMs);
  }
  if (!isCovered) {
    throw new AdaptletError(
      'REPLICA_BEHIND',
      `${runtime.key} has seen ${revisionText(hello.revision)}, this replica only ${revisionText(objects.seen())}`,
    );
  }
};

type Labels = Readonly<Record<string, string>>;

const labelKeys = (labels: Labels): string => Object.keys(labels).sort().join(',');

/** What is written of a runtime on its AdapterRuntime. */
type Written = { readonly labels: Labels; readonly annotations: Labels };

/** Keys that a runtime may write; an empty value is no annotation. */
const annotationsOf = ({ kind }: BoundRuntime, peerAddress: string, labels: Labels): Labels => ({
  [labelKeysAnnotation]: labelKeys(labels),
  // Pods share nothing with others.
  [peerAnnotation]: kind === 'Node' ? peerAddress : '',
});

const isEnrolled = (
  objects: Objects,
  { key, ownerUid }: BoundRuntime,
  { labels, annotations }: Written,
): boolean => {
  const metadata = objects.runtimes.get(key)?.metadata;
  if (metadata === undefined || metadata.deletionTimestamp !== undefined) return false;
  return (
    Object.entries(labels).every(([label, value]) => metadata.labels?.[label] === value) &&
    Object.entries(annotations).every(([name, value]) => (metadata.annotations?.[name] ?? '') === value) &&
    (ownerUid === '' || metadata.ownerReferences?.some(({ uid }) => uid === ownerUid) === true)
  );
};

const apply = async (
  api: KubeApi,
  { key, kind, namespace, name, node, ownerUid }: BoundRuntime,
  { labels, annotations }: Written,
  signal: AbortSignal,
): Promise<void> => {
  const said = Object.fromEntries(Object.entries(annotations).filter(([, value]) => value !== ''));
  const owner = { apiVersion: 'v1', kind, name: kind === 'Node' ? node : name, uid: ownerUid };
  try {
    await api.request({
      method: 'PATCH',
      path: pathOf(runtimeType, namespace, name),
      // The administrator of the node has the last word about its labels.
      query: { fieldManager, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion,
        kind: runtimeType.kind,
        metadata: {
          name,
          namespace,
          labels,
          ...(Object.keys(said).length === 0 ? {} : { annotations: said }),
          ...(ownerUid === '' ? {} : { ownerReferences: [owner] }),
        },
        spec: {},
      },
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const { what } = asAdaptletError(error, 'writing');
    throw new AdaptletError('REPLICA_UNAVAILABLE', `the AdapterRuntime ${key} cannot be written: ${what}`, {
      cause: error,
    });
  }
};
