import * as f from './facts.fixture.ts';
import type { ClusterFacts, ContainerStatus, Pod } from './facts.ts';
import type { Fault } from './fault.fixture.ts';

const daemonSetWith = (status: NonNullable<object>): ClusterFacts['daemonSets'] => ({
  value: [{ metadata: f.metadata('adaptlet-runtime'), status }],
});
const complete = { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberUnavailable: 0 };
const podWith = (status: NonNullable<Pod['status']>): ClusterFacts['pods'] => ({
  value: [{ metadata: f.metadata('adaptlet-runtime-x'), spec: {}, status }],
});
const containerWith = (state: Omit<ContainerStatus, 'name'>) =>
  podWith({ containerStatuses: [{ name: 'runtime', ...state }] });

/** Of runtimes, objects and pods. */
export const fleetFaults: readonly Fault[] = [
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
    { runtimes: { value: [f.runtime('node-1'), f.fallenBack('node-2')] } },
    'execution-provider',
    'warning',
    /node-2: the CPU runs the base model/,
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
    { daemonSets: daemonSetWith({ ...complete, updatedNumberScheduled: 1 }) },
    'runtime-rollout',
    'warning',
    /1 of 2 pods .* older version/,
  ],
  [
    'pods that are not ready',
    { daemonSets: daemonSetWith({ ...complete, numberUnavailable: 1 }) },
    'runtime-rollout',
    'warning',
    /1 of 2 pods .* not ready/,
  ],
  [
    'a DaemonSet without a node',
    { daemonSets: daemonSetWith({}) },
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
