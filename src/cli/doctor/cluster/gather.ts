import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { KubeConnection } from '../../../kube/client/client.ts';
import type { KubeObject, ResourceType } from '../../../kube/client/object.ts';
import { secretName as authorityName } from '../../../operator/identity/authority-state.ts';
import { injectLabel } from '../../../operator/injection/pod.ts';
import {
  type WebhookConfiguration,
  webhookName,
  webhookType,
} from '../../../operator/injection/webhook-configuration.ts';
import { readAdapter, readRollout, readRuntime } from '../../../operator/objects/read.ts';
import {
  adapterType,
  namespaceType,
  rolloutType,
  runtimeType,
} from '../../../operator/objects/resource-types.ts';
import { ask } from '../asked.ts';
import type { Asked } from '../finding.ts';
import schemas from './crd-digests.json' with { type: 'json' };
import type {
  AskingPod,
  ClusterFacts,
  ConfigMap,
  Crd,
  DaemonSet,
  Deployment,
  DisruptionBudget,
  EndpointSlice,
  Lease,
  Namespace,
  Pod,
  Stored,
} from './facts.ts';
import { createReader } from './reader.ts';
import { operatorRights, yourRights } from './rights.ts';
import { askForCertificate } from './serving.ts';

const type = (group: string, version: string, plural: string, namespaced = true): ResourceType => ({
  group,
  version,
  kind: plural,
  plural,
  namespaced,
});
const types = {
  crds: type('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', false),
  deployments: type('apps', 'v1', 'deployments'),
  daemonSets: type('apps', 'v1', 'daemonsets'),
  leases: type('coordination.k8s.io', 'v1', 'leases'),
  endpointSlices: type('discovery.k8s.io', 'v1', 'endpointslices'),
  disruptionBudgets: type('policy', 'v1', 'poddisruptionbudgets'),
  configMaps: type('', 'v1', 'configmaps'),
  secrets: type('', 'v1', 'secrets'),
  pods: type('', 'v1', 'pods'),
} as const;

const operatorName = 'adaptlet-operator';
const partOf = (component: string): string =>
  `app.kubernetes.io/name=adaptlet,app.kubernetes.io/component=${component}`;

export type GatherOptions = {
  /** Of the operator. */
  readonly namespace: string;
  readonly version: string;
  /** Wall time in milliseconds. */
  readonly now: () => number;
  /** host:port of a replica, where it is reached from here. */
  readonly operator: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
};

const mapped = <A, B>(asked: Asked<A>, map: (value: A) => B): Asked<B> =>
  'value' in asked ? { value: map(asked.value) } : asked;

/** The first error, or all answers. */
const together = <T>(all: readonly Asked<T>[]): Asked<readonly T[]> => {
  const values: T[] = [];
  for (const asked of all) {
    if ('error' in asked) return asked;
    values.push(asked.value);
  }
  return { value: values };
};

/** Reads everything that the checks look at, at the same time. Never throws for what may not be read or does not answer. */
export const gatherCluster = async (api: KubeConnection, options: GatherOptions): Promise<ClusterFacts> => {
  const { namespace, version, operator, kubeconfig, context } = options;
  const { get, list, missing, version: apiVersion } = createReader(api);
  const apiServer = await apiVersion();
  const stored = async <T>(
    kind: ResourceType,
    read: (raw: KubeObject) => { readonly object?: T },
  ): Promise<Asked<readonly Stored<T>[]>> =>
    mapped(await list(kind), (all) =>
      all.map((raw) => ({ metadata: raw.metadata, object: read(raw).object })),
    );
  const certificate = async (): Promise<Pick<ClusterFacts, 'bundle' | 'handshake'>> => {
    const bundle = await get<ConfigMap>(types.configMaps, authorityName, namespace);
    const ca = 'value' in bundle ? bundle.value?.data?.['ca.crt'] : undefined;
    const handshake = await ask(async () => {
      if (ca === undefined) throw new AdaptletError('KUBE_NOT_FOUND', 'what runtimes trust is not known');
      return await askForCertificate({ ca, namespace, address: operator, kubeconfig, context });
    }, 'the certificate of the operator');
    return { bundle, handshake };
  };
  const account = `system:serviceaccount:${namespace}:${operatorName}`;
  // Where nothing answers, each of these would wait for its own deadline.
  const isThere = 'value' in apiServer;
  const unless = <T>(work: () => Promise<Asked<T>>): Promise<Asked<T>> =>
    isThere ? work() : Promise.resolve(apiServer);
  const webhook = await unless(() => get<WebhookConfiguration>(webhookType, webhookName));
  const injects = 'value' in webhook && webhook.value !== undefined;
  const [crds, yourMissing, operatorMissing, deployment, operators, lease, endpoints, disruption] =
    await Promise.all([
      unless(async () =>
        together(await Promise.all(Object.keys(schemas).map((name) => get<Crd>(types.crds, name)))),
      ),
      unless(() => missing(yourRights())),
      unless(() => missing(operatorRights(namespace, injects), account)),
      unless(() => get<Deployment>(types.deployments, operatorName, namespace)),
      unless(() => list<Deployment>(types.deployments, { labelSelector: partOf('operator') })),
      unless(() => get<Lease>(types.leases, operatorName, namespace)),
      unless(() =>
        list<EndpointSlice>(types.endpointSlices, {
          namespace,
          labelSelector: `kubernetes.io/service-name=${operatorName}`,
        }),
      ),
      unless(() => get<DisruptionBudget>(types.disruptionBudgets, operatorName, namespace)),
    ]);
  const [secret, runtimes, adapters, rollouts, namespaces, daemonSets, pods, askingPods, certificates] =
    await Promise.all([
      unless(() => get<ConfigMap>(types.secrets, authorityName, namespace)),
      unless(() => stored(runtimeType, readRuntime)),
      unless(() => stored(adapterType, readAdapter)),
      unless(() => stored(rolloutType, readRollout)),
      unless(() => list<Namespace>(namespaceType)),
      unless(() => list<DaemonSet>(types.daemonSets, { namespace, labelSelector: partOf('runtime') })),
      unless(() => list<Pod>(types.pods, { namespace, labelSelector: 'app.kubernetes.io/name=adaptlet' })),
      unless(() => list<AskingPod>(types.pods, { labelSelector: `${injectLabel}=true` })),
      isThere ? certificate() : { bundle: apiServer, handshake: apiServer },
    ]);
  return {
    now: options.now(),
    version,
    namespace,
    server: api.server,
    apiServer,
    crds,
    schemas,
    yourMissing,
    operatorMissing,
    deployment,
    elsewhere: mapped(operators, (all) =>
      all.flatMap(({ metadata }) => (metadata.namespace === namespace ? [] : (metadata.namespace ?? []))),
    ),
    lease,
    endpoints,
    disruption,
    bundle: certificates.bundle,
    signing: mapped(secret, (found) => {
      const pem = found?.data?.['current.crt'];
      return pem === undefined ? undefined : Buffer.from(pem, 'base64').toString('utf8');
    }),
    handshake: certificates.handshake,
    runtimes: mapped(runtimes, (all) => all.flatMap(({ object }) => object ?? [])),
    adapters,
    rollouts,
    namespaces,
    daemonSets,
    pods,
    webhook,
    askingPods,
  };
};
