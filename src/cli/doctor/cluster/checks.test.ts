import { describe, expect, it } from 'vitest';
import { clusterFindings, type FindingId } from '../catalogue.ts';
import type { Level } from '../finding.ts';
import { exitCodeOf } from '../report.ts';
import { checkCluster } from './checks.ts';
import * as f from './facts.fixture.ts';
import type { ClusterFacts, ContainerStatus, Pod } from './facts.ts';

const system = f.healthy;
const deploymentWith = (
  replicas: number,
  readyReplicas: number,
  version = '0.1.0',
): ClusterFacts['deployment'] => ({
  value: {
    metadata: f.metadata('adaptlet-operator'),
    spec: { replicas, template: { metadata: { labels: { 'app.kubernetes.io/version': version } } } },
    status: { readyReplicas },
  },
});
const leaseWith = (holderIdentity: string, silentMs: number): ClusterFacts['lease'] => ({
  value: {
    metadata: f.metadata('adaptlet-operator'),
    spec: { holderIdentity, leaseDurationSeconds: 20, renewTime: f.ago(silentMs) },
  },
});
const daemonSetWith = (env: string, status: NonNullable<object>): ClusterFacts['daemonSets'] => ({
  value: [
    {
      metadata: f.metadata('adaptlet-runtime'),
      spec: {
        template: { spec: { containers: [{ env: [{ name: 'ADAPTLET_EXECUTION_PROVIDERS', value: env }] }] } },
      },
      status,
    },
  ],
});
const complete = { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberUnavailable: 0 };
const podWith = (status: NonNullable<Pod['status']>): ClusterFacts['pods'] => ({
  value: [{ metadata: f.metadata('adaptlet-runtime-x'), spec: {}, status }],
});
const containerWith = (state: Omit<ContainerStatus, 'name'>) =>
  podWith({ containerStatuses: [{ name: 'runtime', ...state }] });
const rightless = {
  value: [{ verb: 'update', group: 'coordination.k8s.io', resource: 'leases', name: 'adaptlet-operator' }],
};

type Fault = readonly [fault: string, Partial<ClusterFacts>, FindingId, Level, RegExp];

const faults: readonly Fault[] = [
  [
    'an old Kubernetes',
    { apiServer: { value: { gitVersion: 'v1.28.1+k3s1' } } },
    'api-server',
    'problem',
    /older than 1\.30/,
  ],
  [
    'a missing CRD',
    { crds: { value: [f.crd('adapters.adaptlet.io'), undefined] } },
    'crds',
    'problem',
    /lacks adapterruntimes/,
  ],
  [
    'a CRD that is not served',
    {
      crds: {
        value: [f.crd('adapters.adaptlet.io'), { ...f.crd('adapterruntimes.adaptlet.io'), status: {} }],
      },
    },
    'crds',
    'problem',
    /not served yet: adapterruntimes/,
  ],
  [
    'a CRD of another version',
    {
      crds: {
        value: [f.crd('adapters.adaptlet.io', { type: 'string' }), f.crd('adapterruntimes.adaptlet.io')],
      },
    },
    'crds',
    'warning',
    /of another version than 0\.1\.0: adapters/,
  ],
  ['CRDs that may not be read', { crds: f.forbidden }, 'crds', 'warning', /could not be looked at/],
  [
    'a right that you lack',
    { yourMissing: { value: [{ verb: 'patch', group: 'adaptlet.io', resource: 'adapterrollouts' }] } },
    'your-rights',
    'warning',
    /may not patch adapterrollouts\.adaptlet\.io/,
  ],
  [
    'a right that the operator lacks',
    { operatorMissing: rightless },
    'operator-rights',
    'problem',
    /may not update leases\.coordination\.k8s\.io\/adaptlet-operator/,
  ],
  [
    'no operator',
    { deployment: { value: undefined } },
    'operator-replicas',
    'problem',
    /there is no Deployment/,
  ],
  [
    'an operator elsewhere',
    { deployment: { value: undefined }, elsewhere: { value: ['edge'] } },
    'operator-replicas',
    'problem',
    /but in edge/,
  ],
  [
    'an operator of 0 replicas',
    { deployment: deploymentWith(0, 0) },
    'operator-replicas',
    'problem',
    /scaled to 0/,
  ],
  ['no ready replica', { deployment: deploymentWith(2, 0) }, 'operator-replicas', 'problem', /0 of 2/],
  [
    'one replica that is not ready',
    { deployment: deploymentWith(2, 1) },
    'operator-replicas',
    'warning',
    /1 of 2/,
  ],
  ['no Lease', { lease: { value: undefined } }, 'operator-leader', 'problem', /ever led/],
  [
    'a Lease that was given back',
    { lease: leaseWith('', 1000) },
    'operator-leader',
    'problem',
    /gave its Lease back/,
  ],
  [
    'a silent leader',
    { lease: leaseWith('operator-0', 180_000) },
    'operator-leader',
    'problem',
    /operator-0 was last heard of 3m ago/,
  ],
  [
    'a Service without endpoints',
    { endpoints: { value: [] } },
    'operator-service',
    'problem',
    /leads nowhere/,
  ],
  [
    'an endpoint that is not ready',
    {
      endpoints: {
        value: [
          {
            metadata: f.metadata('x'),
            endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: false } }],
          },
        ],
      },
    },
    'operator-service',
    'problem',
    /1 endpoints, none ready/,
  ],
  [
    'a budget that lets no replica go',
    {
      disruption: {
        value: { metadata: f.metadata('x'), status: { disruptionsAllowed: 0, expectedPods: 2 } },
      },
    },
    'operator-disruption',
    'warning',
    /no replica now/,
  ],
  [
    'an older operator',
    { deployment: deploymentWith(2, 2, '0.0.9') },
    'versions',
    'warning',
    /this program is of version 0\.1\.0, the operator of 0\.0\.9/,
  ],
  [
    'an older runtime',
    { runtimes: { value: [f.runtime('node-1'), f.runtime('node-2', { version: '0.0.9' })] } },
    'versions',
    'warning',
    /runtimes of version 0\.0\.9.*node-2/,
  ],
  ['no authority', { bundle: { value: undefined } }, 'authority', 'problem', /no ca\.crt/],
  [
    'an authority that is no certificate',
    { bundle: f.bundle('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----') },
    'authority',
    'problem',
    /no readable certificate/,
  ],
  [
    'an authority that is over',
    { bundle: f.bundle(f.over.certificate) },
    'authority',
    'problem',
    /is over since 2026-05-31/,
  ],
  [
    'an authority of somebody else',
    { bundle: f.bundle(f.stranger.certificate) },
    'authority',
    'problem',
    /lacks the authority that signs/,
  ],
  [
    'an authority without successor',
    { bundle: f.bundle(f.overdue.certificate), signing: { value: f.overdue.certificate } },
    'authority',
    'warning',
    /no successor/,
  ],
  [
    'a serving certificate of somebody else',
    { handshake: f.broken('self-signed certificate in certificate chain') },
    'serving-certificate',
    'problem',
    /do not accept/,
  ],
  [
    'a replica that cannot be reached',
    { handshake: f.broken('kubectl is not in the PATH') },
    'serving-certificate',
    'warning',
    /no replica could be asked/,
  ],
  [
    'a serving certificate that was not renewed',
    { handshake: { value: { validUntil: f.now + 1000, theirTime: undefined } } },
    'serving-certificate',
    'problem',
    /was not renewed/,
  ],
  ['no runtime', { runtimes: { value: [] } }, 'runtimes-connected', 'problem', /ever connected/],
  [
    'an offline runtime',
    { runtimes: { value: [f.runtime('node-1'), f.disconnected('node-2')] } },
    'runtimes-connected',
    'warning',
    /1 of 2 .*node-2 \(last seen 120m ago\)/,
  ],
  [
    'no connected runtime',
    { runtimes: { value: [f.disconnected('node-2')] } },
    'runtimes-connected',
    'problem',
    /1 of 1/,
  ],
  [
    'a runtime that cannot answer',
    { runtimes: { value: [f.notServing('node-1')] } },
    'runtimes-ready',
    'problem',
    /the engine is down/,
  ],
  [
    'a runtime that refuses a part',
    {
      runtimes: { value: [f.runtime('node-1', { refused: [{ resource: 'Route team-a/x', reason: 'no' }] })] },
    },
    'runtimes-ready',
    'problem',
    /refuses Route team-a\/x: no/,
  ],
  [
    'removals that are held back',
    { runtimes: { value: [f.holdingRemovals('node-1')] } },
    'runtimes-ready',
    'warning',
    /holds removals back: 5 removals/,
  ],
  [
    'two builds of a base model',
    {
      runtimes: {
        value: [
          f.runtime('node-1'),
          f.runtime('node-2', { baseModel: { name: 'tiny', digest: `sha256:${'2'.repeat(64)}` as never } }),
        ],
      },
    },
    'base-model',
    'problem',
    /tiny has 2 builds: 111111111111 on .*node-1; 222222222222 on .*node-2/,
  ],
  [
    'a provider that fell back',
    { daemonSets: daemonSetWith('CUDAExecutionProvider,CPUExecutionProvider', complete) },
    'execution-provider',
    'warning',
    /CUDAExecutionProvider was asked for.*node-1 \(CPUExecutionProvider\)/,
  ],
  [
    'full RAM',
    { runtimes: { value: [f.runtime('node-1', { memory: { budgetBytes: 100, usedBytes: 95 } })] } },
    'budgets',
    'warning',
    /RAM .*node-1 \(95 %\)/,
  ],
  [
    'a full disk',
    { runtimes: { value: [f.runtime('node-1', { disk: { budgetBytes: 100, usedBytes: 91 } })] } },
    'budgets',
    'warning',
    /disk .*node-1 \(91 %\)/,
  ],
  [
    'an adapter that failed',
    {
      adapters: {
        value: [
          f.adapter('v2', {
            failures: [{ runtime: 'node-1', reason: 'ADAPTER_NOT_FINITE', message: 'NaN', time: f.ago(0) }],
          }),
        ],
      },
    },
    'adapters',
    'problem',
    /v2 .*on node-1: ADAPTER_NOT_FINITE: NaN/,
  ],
  [
    'an adapter without a digest',
    {
      adapters: {
        value: [
          f.adapter('v2', {
            conditions: [f.adapterCondition('Resolved', 'False', 'DigestRequired', 'needs spec.digest')],
          }),
        ],
      },
    },
    'adapters',
    'problem',
    /DigestRequired: needs spec\.digest/,
  ],
  [
    'an adapter that is not valid',
    { adapters: { value: [{ metadata: f.metadata('v2', { namespace: 'team-a' }), object: undefined }] } },
    'adapters',
    'problem',
    /team-a\/v2 is not valid/,
  ],
  [
    'a degraded rollout',
    { rollouts: { value: [f.rollout('sql', { phase: 'Degraded', message: 'canary was given up' })] } },
    'rollouts',
    'problem',
    /is Degraded: canary was given up/,
  ],
  [
    'a rollout that nobody decides',
    { rollouts: { value: [f.rollout('sql', { observedGeneration: 0 })] } },
    'rollouts',
    'warning',
    /has not seen its last change/,
  ],
  [
    'a rollout that is held',
    {
      rollouts: {
        value: [
          f.rollout('sql', {
            runtimes: { desired: 2, updated: 2, ready: 1, failed: 0, held: 1, offline: 0 },
          }),
        ],
      },
    },
    'rollouts',
    'warning',
    /held on 1 runtimes/,
  ],
  [
    'a finalizer that nobody removes',
    {
      adapters: {
        value: [
          f.adapter('v2', {}, { deletionTimestamp: f.ago(600_000), finalizers: ['adaptlet.io/in-use'] }),
        ],
      },
    },
    'deletions',
    'problem',
    /nobody uses it: its finalizer adaptlet\.io\/in-use stays/,
  ],
  [
    'a deleted adapter that is used',
    {
      adapters: {
        value: [
          f.adapter(
            'v2',
            { conditions: [f.adapterCondition('InUse', 'True', 'Referenced', 'AdapterRollout team-a/sql')] },
            { deletionTimestamp: f.ago(600_000) },
          ),
        ],
      },
    },
    'deletions',
    'warning',
    /still used: AdapterRollout team-a\/sql/,
  ],
  [
    'a namespace that is stuck',
    {
      namespaces: {
        value: [
          {
            metadata: f.metadata('team-b', { deletionTimestamp: f.ago(600_000) }),
            status: {
              phase: 'Terminating',
              conditions: [
                {
                  type: 'NamespaceFinalizersRemaining',
                  status: 'True',
                  message: 'adapters.adaptlet.io in 1 resource instances',
                },
              ],
            },
          },
        ],
      },
    },
    'deletions',
    'problem',
    /team-b is stuck for 10m/,
  ],
  [
    'pods of an older version',
    { daemonSets: daemonSetWith('', { ...complete, updatedNumberScheduled: 1 }) },
    'runtime-rollout',
    'warning',
    /1 of 2 pods .* older version/,
  ],
  [
    'pods that are not ready',
    { daemonSets: daemonSetWith('', { ...complete, numberUnavailable: 1 }) },
    'runtime-rollout',
    'warning',
    /1 of 2 pods .* not ready/,
  ],
  [
    'a DaemonSet without a node',
    { daemonSets: daemonSetWith('', {}) },
    'runtime-rollout',
    'warning',
    /fits no node/,
  ],
  [
    'an image that is not there',
    { pods: containerWith({ state: { waiting: { reason: 'ImagePullBackOff', message: 'not found' } } }) },
    'pods',
    'problem',
    /cannot pull its image: not found/,
  ],
  [
    'a pod out of memory',
    { pods: containerWith({ restartCount: 3, lastState: { terminated: { reason: 'OOMKilled' } } }) },
    'pods',
    'problem',
    /ran out of memory 3 times/,
  ],
  [
    'a pod that ends',
    {
      pods: containerWith({
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { reason: 'Error', exitCode: 13 } },
      }),
    },
    'pods',
    'problem',
    /with code 13/,
  ],
  [
    'a pod that cannot start',
    {
      pods: containerWith({
        state: { waiting: { reason: 'CreateContainerConfigError', message: 'no secret' } },
      }),
    },
    'pods',
    'problem',
    /cannot start: no secret/,
  ],
  [
    'a pod that waits for a volume',
    { pods: containerWith({ state: { waiting: { reason: 'ContainerCreating' } } }) },
    'pods',
    'warning',
    /waits to be created/,
  ],
  [
    'a pod that fits nowhere',
    {
      pods: podWith({
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes' },
        ],
      }),
    },
    'pods',
    'problem',
    /fits no node: 0\/3 nodes/,
  ],
];

describe('the doctor of a cluster', () => {
  it('finds nothing wrong where nothing is, and has looked at everything', () => {
    const findings = checkCluster(system);
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.map(({ id }) => id)).toEqual(Object.keys(clusterFindings));
    expect(exitCodeOf(findings)).toBe(0);
  });

  it.each(faults)('names %s, and what to do', (_, fault, id, level, message) => {
    const findings = checkCluster({ ...system, ...fault });
    const found = findings.filter((finding) => finding.level !== 'ok');
    expect(found.map((finding) => finding.id)).toContain(id);
    const finding = found.find((one) => one.id === id);
    expect(finding).toMatchObject({ level, message: expect.stringMatching(message) });
    expect(finding?.message).not.toContain('\n');
    expect(found.every(({ fix = '' }) => fix !== '')).toBe(true);
    expect(exitCodeOf(findings)).toBe(found.some((one) => one.level === 'problem') ? 1 : 0);
  });

  it('has a fault for every finding', () => {
    // Where the API server does not answer there is nothing else to say; see below.
    expect(new Set(faults.map(([, , id]) => id))).toEqual(new Set(Object.keys(clusterFindings)));
  });

  it('says one thing when the API server does not answer', () => {
    const findings = checkCluster({ ...system, apiServer: f.broken('ECONNREFUSED') });
    expect(findings).toMatchObject([{ id: 'api-server', level: 'problem', message: 'ECONNREFUSED' }]);
  });

  it('says what could not be looked at, and takes it for no problem', () => {
    const unseen: Partial<ClusterFacts> = {
      pods: f.forbidden,
      lease: f.forbidden,
      runtimes: f.forbidden,
      adapters: f.forbidden,
    };
    const findings = checkCluster({ ...system, ...unseen });
    expect(exitCodeOf(findings)).toBe(0);
    for (const id of ['pods', 'operator-leader', 'runtimes-connected', 'adapters', 'deletions'])
      expect(findings.find((one) => one.id === id)).toMatchObject({
        level: 'warning',
        message: expect.stringContaining('could not be looked at'),
      });
  });
});
