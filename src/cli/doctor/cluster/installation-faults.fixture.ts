import * as f from './facts.fixture.ts';
import type { ClusterFacts } from './facts.ts';
import type { Fault } from './fault.fixture.ts';

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
const rightless = {
  value: [{ verb: 'update', group: 'coordination.k8s.io', resource: 'leases', name: 'adaptlet-operator' }],
};

/** Of the API server, the operator and its certificates. */
export const installationFaults: readonly Fault[] = [
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
  [
    'a webhook that was never told whom to trust',
    { webhook: f.webhookOf('') },
    'sidecar-webhook',
    'problem',
    /has no caBundle: the API server trusts no operator, and pods get no sidecar/,
  ],
  [
    'a webhook that trusts somebody else',
    { webhook: f.webhookOf(f.stranger.certificate) },
    'sidecar-webhook',
    'problem',
    /the caBundle of another authority/,
  ],
  [
    'pods without the sidecar that they ask for',
    {
      askingPods: {
        value: [
          f.askingPod('with', ['adaptlet-runtime']),
          f.askingPod('without', ['other']),
          f.askingPod('over', [], 'Succeeded'),
          f.askingPod('static', [], 'Running', { 'kubernetes.io/config.mirror': 'x' }),
        ],
      },
    },
    'sidecars',
    'problem',
    /1 of 2 pods that ask for a sidecar have none: team-a\/without$/,
  ],
  [
    'sidecars that no operator has',
    { askingPods: { value: ['with', 'cut'].map((name) => f.askingPod(name, ['adaptlet-runtime'])) } },
    'sidecars',
    'warning',
    /not connected to the operator: team-a\/cut$/,
  ],
  [
    'pods that ask where sidecars are off',
    { webhook: { value: undefined }, askingPods: { value: [f.askingPod('without', [])] } },
    'sidecars',
    'problem',
    /1 of 1 pods/,
  ],
];
