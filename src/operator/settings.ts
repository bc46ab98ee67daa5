import { hostname } from 'node:os';
import { z } from 'zod';
import { namespaceSchema } from '../api/names.ts';
import { addressPattern } from '../control/enrolment.ts';
import { isHostPattern } from '../egress/host-pattern.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { metricsSettings } from '../settings/metrics.ts';
import { flagOf, variableOf } from '../settings/settings.ts';
import {
  coreFiles,
  duration,
  egressList,
  labels,
  list,
  logLevel,
  networkList,
  otlpEndpoint,
} from '../settings/values.ts';
import type { GatewaySettings } from './gateway/controller.ts';
import { certifiedName, isAmong, mostRuntimeNames } from './identity/serving-names.ts';
import { isLabelPattern } from './nodes/label-list.ts';

/** Every setting of `adaptlet operator`. docs/reference/configuration.md is generated from this. */
export const operatorSettingsSchema = z.object({
  kubeconfig: z
    .string()
    .optional()
    .describe('A kubeconfig. Default: the ServiceAccount of the pod, else ~/.kube/config.'),
  namespace: z
    .string()
    .default('adaptlet-system')
    .describe('Namespace of the operator: its Lease, its certificate authority, its runtimes.'),
  identity: z
    .string()
    .optional()
    .describe('Name of this replica, unique among them. Default: the name of the host.'),
  listen: z
    .string()
    .default('127.0.0.1:9443')
    .describe('Address of gRPC for runtimes and other replicas, with TLS.'),
  address: z
    .string()
    .optional()
    .describe('host:port at which other replicas reach this one. Default: the address that it listens on.'),
  httpListen: z.string().default('127.0.0.1:8081').describe('Address of HTTP: /metrics, /livez, /readyz.'),
  dashboardListen: z
    .string()
    .optional()
    .describe(
      'Address of the dashboard, on loopback: people reach it by `kubectl adaptlet dashboard`. Without it none is served.',
    ),
  serviceNames: list
    .prefault('')
    .describe(
      'DNS names and IP addresses in the certificate, separated by commas. Default: adaptlet-operator.NAMESPACE.svc, its short forms and localhost.',
    ),
  runtimeAccounts: list
    .prefault('')
    .describe(
      'ServiceAccounts (namespace/name, separated by commas) whose pods may connect as the runtime of their node. Default: NAMESPACE/adaptlet-runtime.',
    ),
  runtimeNames: list
    .refine((names) => names.every((name) => certifiedName(name) !== undefined), {
      error: 'must be DNS names and IP addresses, none of them of this machine alone, separated by commas',
    })
    .refine((names) => names.length <= mostRuntimeNames, {
      error: `must be ${mostRuntimeNames} names at most`,
    })
    .prefault('')
    .describe(
      '32 DNS names and IP addresses at most by which clients reach runtimes of Nodes, separated by commas: they are in the certificate of each runtime with `tls` operator, besides those of its Service (NAME.NAMESPACE.svc, with the name of its ServiceAccount) and of its Node. None of the operator itself.',
    ),
  nodeLabels: list
    .refine((patterns) => patterns.every(isLabelPattern), {
      error: 'must be label keys, or DNS prefixes with /* (adaptlet.io/*), separated by commas',
    })
    .prefault(
      'kubernetes.io/arch,kubernetes.io/os,kubernetes.io/hostname,topology.kubernetes.io/zone,topology.kubernetes.io/region,node.kubernetes.io/instance-type,accelerator,adaptlet.io/*',
    )
    .describe(
      'Labels that an AdapterRuntime has from its Node, by which selectors and groups choose runtimes: keys, or prefixes as adaptlet.io/*, separated by commas. A runtime cannot set them itself. Empty: none.',
    ),
  siteLabel: z
    .string()
    .refine((key) => isLabelPattern(key) && !key.endsWith('/*'), { error: 'must be the key of a label' })
    .default('topology.kubernetes.io/zone')
    .describe(
      'Label of AdapterRuntimes whose value is their site: runtimes of Nodes with the same value give each other blobs, where they listen for it. Where it is not among `nodeLabels` there are no sites: a runtime could choose its own.',
    ),
  nodeCordon: z
    .enum(['follow', 'ignore'])
    .default('follow')
    .describe(
      'follow: a runtime is cordoned while its Node is (kubectl cordon). ignore: only spec.cordoned of the AdapterRuntime counts.',
    ),
  ...metricsSettings,
  registryConfig: z
    .string()
    .optional()
    .describe('A docker config.json with credentials of OCI registries, for the resolution of tags.'),
  registryPasswords: z
    .enum(['deny', 'allow'])
    .default('deny')
    .describe(
      'Whether nodes get the password out of a Secret that pullSecretRef names, where its registry has no token service, and the headers and tokens of http and huggingFace sources. allow: over TLS, to runtimes whose plan needs it, which keep it in memory. deny: these cannot be used with a Secret.',
    ),
  insecureRegistries: list
    .prefault('')
    .describe(
      'Registry hosts that are reached over plain HTTP, separated by commas. They are allowed as those of egress-allow are.',
    ),
  egressAllow: egressList
    .prefault('')
    .describe(
      'Where metrics of rollouts and registries of Adapters may lead besides public addresses over TLS: hosts as host, host:port or *.domain, addresses, and networks as 10.0.0.0/8, separated by commas. A host may have private addresses, as a Service of the cluster has; loopback and link-local are open only by their address. Public hosts that are listed may be asked over plain HTTP.',
    ),
  egressDeny: networkList
    .prefault('')
    .describe(
      'Addresses and networks that nothing opens, separated by commas. The API server is always one of them.',
    ),
  metricHosts: list
    .refine((patterns) => patterns.every(isHostPattern), {
      error: 'must be hosts as host, host:port or *.domain, separated by commas',
    })
    .prefault('')
    .describe(
      'The only hosts that metrics of rollouts may be read from: host, host:port or *.domain, separated by commas. They are allowed as those of egress-allow are. Empty: every host that egress-allow and the defaults leave open.',
    ),
  credentialNamespaces: list
    .prefault('')
    .describe(
      'Namespaces whose Secrets may have keys of callers, where an AdapterPolicy allows it, separated by commas. The operator needs the rights to get, list and watch Secrets in them.',
    ),
  deviceListen: z
    .string()
    .optional()
    .describe(
      'Address of gRPC for devices outside of the cluster, which show certificates. Without it there are none.',
    ),
  deviceAddress: z
    .string()
    .regex(addressPattern, { error: 'must be host:port' })
    .optional()
    .describe(
      'host:port that these devices dial, of a Service or a gateway that passes TLS through. It is in the certificate and in the tokens of "kubectl adaptlet enrol".',
    ),
  deviceNames: list
    .prefault('')
    .describe(
      'Other DNS names and IP addresses that devices dial, separated by commas. They are in the certificate as well.',
    ),
  deviceCertificateLifetime: duration
    .prefault('720h')
    .describe(
      'How long the certificate of a device holds. The device renews it after two thirds of that, and up to 180 days after its end.',
    ),
  leaseDuration: duration
    .prefault('20s')
    .describe(
      'Time after which another replica may lead when the leader is silent. It is renewed every 0.4 of it.',
    ),
  webhookListen: z
    .string()
    .optional()
    .describe(
      'Address of HTTPS on which the API server asks about pods that are created (/inject). Without it no sidecars are injected.',
    ),
  sidecarTemplate: z
    .string()
    .default('/etc/adaptlet/injection/sidecar.yaml')
    .describe('File of the sidecar that is injected, as the chart writes it. Read anew for each pod.'),
  gatewayNamespace: namespaceSchema
    .optional()
    .describe(
      'Namespace in which gateways are told which names belong to which base model: ConfigMaps with the label inference.networking.k8s.io/bbr-managed. The operator needs the rights to list, create, patch and delete ConfigMaps there. Without it they are told nothing.',
    ),
  gatewayPools: labels
    .prefault('')
    .describe(
      'InferencePools in that namespace by base model, as smollm2-135m=edge-pool. A rollout with the annotation adaptlet.io/gateway-rewrite: "true" is then split by the gateway as well, by an InferenceModelRewrite of llm-d.ai. Empty: none is.',
    ),
  otlpEndpoint,
  coreFiles,
  logLevel,
});

type Given = z.output<typeof operatorSettingsSchema>;
export type OperatorSettings = Given & { readonly identity: string };

/** Fills in the defaults that follow from other settings. */
export const completeSettings = (given: Given): OperatorSettings => {
  const { namespace, serviceNames, runtimeAccounts } = given;
  const service = `adaptlet-operator.${namespace}`;
  const settings = {
    ...given,
    identity: given.identity ?? hostname(),
    serviceNames:
      serviceNames.length > 0
        ? serviceNames
        : [`${service}.svc`, `${service}.svc.cluster.local`, service, 'localhost', '127.0.0.1'],
    runtimeAccounts: runtimeAccounts.length > 0 ? runtimeAccounts : [`${namespace}/adaptlet-runtime`],
  };
  const both = settings.runtimeNames.find(isAmong(settings.serviceNames));
  if (both !== undefined)
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf('runtimeNames')} (${variableOf('runtimeNames')}) has ${both}, which is a name of the operator: a runtime with it would be believed to be the operator`,
    );
  // Here, so that the process ends: at the begin of a term it would leave a leader without controllers.
  gatewaySettings(settings);
  return settings;
};

/**
 * What gateways are told, and where; undefined: nothing.
 * @throws CONFIG_INVALID for pools without a namespace
 */
export const gatewaySettings = ({
  gatewayNamespace: namespace,
  gatewayPools: pools,
}: OperatorSettings): GatewaySettings | undefined => {
  if (namespace !== undefined) return { namespace, pools };
  if (Object.keys(pools).length === 0) return undefined;
  throw new AdaptletError(
    'CONFIG_INVALID',
    `${flagOf('gatewayNamespace')} (${variableOf('gatewayNamespace')}) is required with ${flagOf('gatewayPools')}`,
  );
};
