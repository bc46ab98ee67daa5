import {
  type Container,
  type EnvVar,
  IntOrString,
  KubeDeployment,
  KubePodDisruptionBudget,
  KubeService,
  type PodSpec,
} from 'cdk8s-plus-33/lib/imports/k8s.js';
import { Construct } from 'constructs';
import { OperatorAccess } from './access.ts';
import { labels, selector } from './labels.ts';
import { containerSecurity, env, fromPod, podSecurity, probes, resources } from './pod.ts';
import { type Install, names, operatorPorts } from './settings.ts';

const name = names.operator;
/** Of the memory limit: garbage is collected long before the limit is near. */
const heapPercentage = 40;

const settings = ({ namespace }: Install): EnvVar[] => [
  fromPod('ADAPTLET_NAMESPACE', 'metadata.namespace'),
  fromPod('ADAPTLET_IDENTITY', 'metadata.name'),
  fromPod('POD_IP', 'status.podIP'),
  ...env({
    ADAPTLET_ADDRESS: `$(POD_IP):${operatorPorts.grpc}`,
    ADAPTLET_LISTEN: `0.0.0.0:${operatorPorts.grpc}`,
    ADAPTLET_HTTP_LISTEN: `0.0.0.0:${operatorPorts.http}`,
    ADAPTLET_SERVICE_NAMES: [
      `${name}.${namespace}.svc`,
      `${name}.${namespace}.svc.cluster.local`,
      `${name}.${namespace}`,
    ].join(','),
    ADAPTLET_RUNTIME_ACCOUNTS: `${namespace}/${names.runtime}`,
    ADAPTLET_LOG_LEVEL: 'info',
    NODE_OPTIONS: `--max-old-space-size-percentage=${heapPercentage}`,
  }),
];

const container = (install: Install): Container => ({
  name: 'operator',
  image: install.image,
  imagePullPolicy: 'IfNotPresent',
  args: ['operator'],
  env: settings(install),
  ports: [
    { name: 'grpc', containerPort: operatorPorts.grpc },
    { name: 'http', containerPort: operatorPorts.http },
  ],
  ...probes(60),
  resources: resources({ cpu: '100m', memory: '192Mi' }, { memory: '1Gi' }),
  securityContext: containerSecurity,
});

const pod = (install: Install): PodSpec => ({
  serviceAccountName: name,
  automountServiceAccountToken: true,
  // Variables of Services, such as ADAPTLET_OPERATOR_PORT, look like settings.
  enableServiceLinks: false,
  securityContext: podSecurity,
  terminationGracePeriodSeconds: 30,
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      // A dead node counts as a domain: with DoNotSchedule its replica would wait for it.
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: selector('operator') },
    },
  ],
  containers: [container(install)],
});

/** The operator: replicas that all serve runtimes, one of which leads. */
export class Operator extends Construct {
  constructor(scope: Construct, id: string, install: Install) {
    super(scope, id);
    const { namespace, replicas } = install;
    const metadata = { name, namespace, labels: labels('operator') };
    const matchLabels = selector('operator');
    new OperatorAccess(this, 'access', install);
    new KubeService(this, 'service', {
      metadata,
      spec: {
        selector: matchLabels,
        ports: [
          { name: 'grpc', port: operatorPorts.grpc, targetPort: IntOrString.fromString('grpc') },
          { name: 'http', port: operatorPorts.http, targetPort: IntOrString.fromString('http') },
        ],
      },
    });
    new KubeDeployment(this, 'deployment', {
      metadata,
      spec: {
        replicas,
        selector: { matchLabels },
        strategy: {
          type: 'RollingUpdate',
          rollingUpdate: { maxSurge: IntOrString.fromNumber(1), maxUnavailable: IntOrString.fromNumber(0) },
        },
        template: { metadata: { labels: labels('operator') }, spec: pod(install) },
      },
    });
    new KubePodDisruptionBudget(this, 'budget', {
      metadata,
      spec: { maxUnavailable: IntOrString.fromNumber(1), selector: { matchLabels } },
    });
  }
}
