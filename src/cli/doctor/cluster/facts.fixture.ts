import type { Digest } from '../../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../../api/objects.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { KubeMetadata } from '../../../kube/client/object.ts';
import { issueAuthority } from '../../../operator/identity/certificate.ts';
import type { RuntimeObject } from '../../../operator/objects/objects.ts';
import { schemaDigest } from './api-checks.ts';
import type { AskingPod, ClusterFacts, Crd } from './facts.ts';

export const now = Date.parse('2026-06-01T12:00:00Z');
const day = 86_400_000;
export const ago = (ms: number): string => new Date(now - ms).toISOString();

export const metadata = (name: string, more: Partial<KubeMetadata> = {}): KubeMetadata => ({
  name,
  namespace: 'adaptlet-system',
  uid: name,
  resourceVersion: '1',
  creationTimestamp: ago(day),
  ...more,
});

export const crd = (name: string, schema: unknown = { type: 'object' }): Crd => ({
  metadata: metadata(name),
  spec: { versions: [{ name: 'v1alpha1', served: true, schema: { openAPIV3Schema: schema } }] },
  status: { conditions: [{ type: 'Established', status: 'True' }] },
});
const crdNames = ['adapters.adaptlet.io', 'adapterruntimes.adaptlet.io'];

const digest = `sha256:${'1'.repeat(64)}` as Digest;
const condition = (type: string, status: 'True' | 'False', reason = type, message = '') => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: ago(day),
});

type RuntimeStatus = NonNullable<RuntimeObject['status']>;
export const runtime = (name: string, more: Partial<RuntimeStatus> = {}): RuntimeObject => ({
  kind: 'AdapterRuntime',
  metadata: { ...metadata(name), namespace: 'adaptlet-system', generation: 1, annotations: {}, labels: {} },
  spec: {},
  status: {
    kind: 'Node',
    version: '0.1.0',
    baseModel: { name: 'tiny', digest },
    executionProvider: 'CPUExecutionProvider',
    memory: { budgetBytes: 1000, usedBytes: 100 },
    disk: { budgetBytes: 1000, usedBytes: 100 },
    adapters: { known: 1, stored: 1, resident: 1, failed: 0 },
    refused: [],
    heldRollouts: [],
    conditions: [condition('Connected', 'True'), condition('Ready', 'True', 'Serving')],
    ...more,
  },
});
/** Of a pod of team-a. */
export const runtimeOfPod = (name: string): RuntimeObject => {
  const { metadata: meta, ...rest } = runtime(name, { kind: 'Pod' });
  return { ...rest, metadata: { ...meta, namespace: 'team-a' } };
};
export const disconnected = (name: string) =>
  runtime(name, {
    conditions: [condition('Connected', 'False', 'Disconnected')],
    disconnectedAt: ago(2 * 3_600_000),
  });
export const notServing = (name: string) =>
  runtime(name, {
    conditions: [
      condition('Connected', 'True'),
      condition('Ready', 'False', 'NotServing', 'the engine is down'),
    ],
  });
export const fallenBack = (name: string) =>
  runtime(name, {
    conditions: [
      condition('Connected', 'True'),
      condition('ProviderReady', 'False', 'Fallback', 'the CPU runs the base model'),
    ],
  });
export const holdingRemovals = (name: string) =>
  runtime(name, {
    conditions: [
      condition('Connected', 'True'),
      condition('RemovalsHeld', 'True', 'ManyRemovals', '5 removals'),
    ],
  });

type AdapterStatus = NonNullable<AdapterObject['status']>;
export const adapter = (
  name: string,
  status: Partial<AdapterStatus> = {},
  meta: Partial<KubeMetadata> = {},
): { readonly metadata: KubeMetadata; readonly object: AdapterObject } => ({
  metadata: metadata(name, { namespace: 'team-a', ...meta }),
  object: {
    kind: 'Adapter',
    metadata: { ...metadata(name), namespace: 'team-a', generation: 1, annotations: {}, labels: {} },
    spec: {} as AdapterObject['spec'],
    status: {
      observedGeneration: 1,
      digest,
      runtimes: { desired: 1, stored: 1, resident: 1, serving: 1, failed: 0 },
      failures: [],
      conditions: [condition('Accepted', 'True')],
      ...status,
    },
  },
});
export const adapterCondition = condition;

type RolloutStatus = NonNullable<RolloutObject['status']>;
export const rollout = (name: string, status?: Partial<RolloutStatus>) => ({
  metadata: metadata(name, { namespace: 'team-a' }),
  object: {
    kind: 'AdapterRollout',
    metadata: { ...metadata(name), namespace: 'team-a', generation: 1, annotations: {}, labels: {} },
    spec: {} as RolloutObject['spec'],
    status: {
      observedGeneration: 1,
      phase: 'Healthy',
      revision: 1,
      message: 'it serves',
      history: [],
      weights: { canary: 0, stable: 100 },
      conditions: [],
      ...status,
    },
  } satisfies RolloutObject,
});

export const authority = await issueAuthority('one', { from: now - day, until: now + 300 * day });
export const stranger = await issueAuthority('another', { from: now - day, until: now + 300 * day });
export const overdue = await issueAuthority('old', { from: now - 2 * day, until: now + 10 * day });
export const over = await issueAuthority('over', { from: now - 2 * day, until: now - day });

export const bundle = (text: string) => ({
  value: { metadata: metadata('adaptlet-ca'), data: { 'ca.crt': text } },
});
export const forbidden = { error: new AdaptletError('KUBE_FORBIDDEN', 'may not list it (403)') };
export const broken = (why: string) => ({ error: new AdaptletError('KUBE_UNAVAILABLE', why) });

/** The webhook as the operator keeps it; `ca` '': it never did. */
export const webhookOf = (ca: string): ClusterFacts['webhook'] => ({
  value: {
    metadata: metadata('adaptlet-sidecar'),
    webhooks: [
      {
        name: 'sidecar.adaptlet.io',
        clientConfig: ca === '' ? {} : { caBundle: Buffer.from(ca).toString('base64') },
      },
    ],
  },
});
export const askingPod = (
  name: string,
  initContainers: readonly string[],
  phase = 'Running',
  annotations = {},
): AskingPod => ({
  metadata: metadata(name, { namespace: 'team-a', annotations }),
  spec: {
    containers: [{ name: 'app' }],
    initContainers: initContainers.map((container) => ({ name: container })),
  },
  status: { phase },
});

/** An installation with which nothing is wrong. */
export const healthy: ClusterFacts = {
  now,
  version: '0.1.0',
  namespace: 'adaptlet-system',
  server: 'https://server',
  apiServer: { value: { gitVersion: 'v1.34.4' } },
  crds: { value: crdNames.map((name) => crd(name)) },
  schemas: Object.fromEntries(crdNames.map((name) => [name, schemaDigest(crd(name).spec.versions)])),
  yourMissing: { value: [] },
  operatorMissing: { value: [] },
  deployment: {
    value: {
      metadata: metadata('adaptlet-operator'),
      spec: { replicas: 2, template: { metadata: { labels: { 'app.kubernetes.io/version': '0.1.0' } } } },
      status: { readyReplicas: 2 },
    },
  },
  elsewhere: { value: [] },
  lease: {
    value: {
      metadata: metadata('adaptlet-operator'),
      spec: { holderIdentity: 'operator-0', leaseDurationSeconds: 20, renewTime: ago(4000) },
    },
  },
  endpoints: {
    value: [
      { metadata: metadata('x'), endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }] },
    ],
  },
  disruption: {
    value: { metadata: metadata('adaptlet-operator'), status: { disruptionsAllowed: 1, expectedPods: 2 } },
  },
  bundle: bundle(authority.certificate),
  signing: { value: authority.certificate },
  handshake: { value: { validUntil: now + 20 * 3_600_000, theirTime: now } },
  runtimes: { value: [runtime('node-1'), runtime('node-2'), runtimeOfPod('with')] },
  adapters: { value: [adapter('v1')] },
  rollouts: { value: [rollout('sql')] },
  namespaces: { value: [] },
  daemonSets: {
    value: [
      {
        metadata: metadata('adaptlet-runtime'),
        status: { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberUnavailable: 0 },
      },
    ],
  },
  pods: { value: [{ metadata: metadata('adaptlet-operator-1'), spec: {}, status: { phase: 'Running' } }] },
  webhook: webhookOf(authority.certificate),
  askingPods: { value: [askingPod('with', ['adaptlet-runtime'])] },
};
