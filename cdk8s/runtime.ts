import {
  type Container,
  type EnvVar,
  IntOrString,
  KubeDaemonSet,
  KubeService,
  type PodSpec,
  type Volume,
  type VolumeMount,
} from 'cdk8s-plus-33/lib/imports/k8s.js';
import { Construct } from 'constructs';
import { RuntimeAccess } from './access.ts';
import { labels, selector } from './labels.ts';
import { containerSecurity, env, fromPod, podSecurity, probes, resources } from './pod.ts';
import { authorityName } from './rbac.ts';
import {
  dataFolder,
  type Install,
  modelsFolder,
  names,
  operatorPorts,
  runtimePorts,
  user,
} from './settings.ts';

const name = names.runtime;

const mounts: readonly VolumeMount[] = [
  { name: 'data', mountPath: dataFolder },
  { name: 'model', mountPath: '/model', readOnly: true },
  { name: 'ca', mountPath: '/etc/adaptlet/ca', readOnly: true },
  { name: 'token', mountPath: '/var/run/adaptlet', readOnly: true },
  { name: 'tmp', mountPath: '/tmp' },
];

const volumes = (model: string): Volume[] => [
  { name: 'data', hostPath: { path: dataFolder, type: 'DirectoryOrCreate' } },
  { name: 'model', hostPath: { path: `${modelsFolder}/${model}`, type: 'Directory' } },
  // The operator writes it. A node starts and serves without it, and takes it when it comes.
  { name: 'ca', configMap: { name: authorityName, optional: true } },
  {
    name: 'token',
    projected: {
      sources: [{ serviceAccountToken: { audience: 'adaptlet', expirationSeconds: 3600, path: 'token' } }],
    },
  },
  { name: 'tmp', emptyDir: {} },
];

const settings = ({ namespace, model }: Install): EnvVar[] => [
  fromPod('ADAPTLET_RUNTIME_NAMESPACE', 'metadata.namespace'),
  fromPod('ADAPTLET_RUNTIME_NAME', 'spec.nodeName'),
  ...env({
    ADAPTLET_RUNTIME_KIND: 'node',
    ADAPTLET_MODEL: '/model',
    ADAPTLET_MODEL_NAME: model,
    ADAPTLET_DATA_DIR: dataFolder,
    ADAPTLET_OPERATOR: `${names.operator}.${namespace}.svc:${operatorPorts.grpc}`,
    ADAPTLET_OPERATOR_CA: '/etc/adaptlet/ca/ca.crt',
    ADAPTLET_OPERATOR_TOKEN: '/var/run/adaptlet/token',
    ADAPTLET_GRPC_LISTEN: `0.0.0.0:${runtimePorts.grpc}`,
    ADAPTLET_HTTP_LISTEN: `0.0.0.0:${runtimePorts.http}`,
    ADAPTLET_ADAPTER_MEMORY: '256Mi',
    ADAPTLET_ADAPTER_DISK: '2Gi',
    ADAPTLET_THREADS: '1',
    ADAPTLET_LOG_LEVEL: 'info',
  }),
];

/** The kubelet makes a folder of the node for root; the runtime is not root. */
const ownData = (image: string): Container => ({
  name: 'own-data',
  image,
  imagePullPolicy: 'IfNotPresent',
  command: ['node', '-e', `require('node:fs').chownSync('${dataFolder}', ${user}, ${user})`],
  resources: resources({ cpu: '10m', memory: '64Mi' }, { memory: '128Mi' }),
  securityContext: {
    ...containerSecurity,
    runAsNonRoot: false,
    runAsUser: 0,
    capabilities: { drop: ['ALL'], add: ['CHOWN'] },
  },
  volumeMounts: [{ name: 'data', mountPath: dataFolder }],
});

const container = (install: Install): Container => ({
  name: 'runtime',
  image: install.image,
  imagePullPolicy: 'IfNotPresent',
  args: ['serve'],
  env: settings(install),
  ports: [
    { name: 'grpc', containerPort: runtimePorts.grpc },
    { name: 'http', containerPort: runtimePorts.http },
  ],
  // The first start on a node prepares the weights of the base model before anything answers.
  ...probes(1800),
  resources: resources({ cpu: '250m', memory: '768Mi' }, { memory: '2Gi' }),
  securityContext: containerSecurity,
  volumeMounts: [...mounts],
});

const pod = (install: Install): PodSpec => ({
  serviceAccountName: name,
  automountServiceAccountToken: false,
  // Variables of Services, such as ADAPTLET_OPERATOR_PORT, look like settings.
  enableServiceLinks: false,
  securityContext: podSecurity,
  terminationGracePeriodSeconds: 30,
  initContainers: [ownData(install.image)],
  containers: [container(install)],
  volumes: volumes(install.model),
});

/** The runtime: one pod on each node, and a Service that leads a client to the one on its own node. */
export class Runtime extends Construct {
  constructor(scope: Construct, id: string, install: Install) {
    super(scope, id);
    const metadata = { name, namespace: install.namespace, labels: labels('runtime') };
    const matchLabels = selector('runtime');
    new RuntimeAccess(this, 'access', install);
    new KubeService(this, 'service', {
      metadata,
      spec: {
        selector: matchLabels,
        internalTrafficPolicy: 'Local',
        ports: [
          {
            name: 'grpc',
            port: runtimePorts.grpc,
            targetPort: IntOrString.fromString('grpc'),
            appProtocol: 'kubernetes.io/h2c',
          },
          {
            name: 'http',
            port: runtimePorts.http,
            targetPort: IntOrString.fromString('http'),
            appProtocol: 'http',
          },
        ],
      },
    });
    new KubeDaemonSet(this, 'daemonset', {
      metadata,
      spec: {
        selector: { matchLabels },
        // One process at a time owns the data of a node, so never two pods of it (maxSurge).
        updateStrategy: {
          type: 'RollingUpdate',
          rollingUpdate: { maxUnavailable: IntOrString.fromNumber(1) },
        },
        template: { metadata: { labels: labels('runtime') }, spec: pod(install) },
      },
    });
  }
}
