/** Every finding about a cluster, with what was looked at. In the order in which they are printed. */
export const clusterFindings = {
  'api-server': 'The API server answers, and its version is one that Adaptlet is made for.',
  crds: 'All kinds are there, served, and those of this version.',
  'your-rights': 'What you may do with the kinds of Adaptlet.',
  'operator-rights': 'The ServiceAccount of the operator has every right that it uses.',
  'operator-replicas': 'The Deployment of the operator is there, and its replicas are ready.',
  'operator-leader': 'A replica leads: it holds the Lease and renews it.',
  'operator-service': 'The Service that runtimes connect to leads to a replica.',
  'operator-disruption': 'A drain of a node may take a replica away.',
  versions: 'Operator, runtimes and this program are of one version.',
  authority: 'The certificate authority that runtimes trust is there, valid, and the one that signs.',
  'serving-certificate': 'A replica answers TLS with a certificate that runtimes accept.',
  'runtimes-connected': 'Runtimes are there and connected to the operator.',
  'runtimes-ready': 'Runtimes can answer requests, and refuse nothing of their plan.',
  'base-model': 'Runtimes with the same name of a base model have the same files.',
  'execution-provider': 'Runtimes run the graph on the device that was asked for.',
  budgets: 'There is room for adapters in the RAM and on the disk of each runtime.',
  adapters: 'Adapters are accepted, resolved and loaded.',
  rollouts: 'Rollouts go on.',
  deletions: 'What is being deleted goes away.',
  'runtime-rollout': 'The pods of the runtime are of the present version and there on every node.',
  pods: 'The pods of the release are started and stay.',
  'sidecar-webhook': 'The API server asks the operator for sidecars, and trusts its certificate.',
  sidecars: 'Pods that ask for a sidecar have one, which is connected to the operator.',
} as const;

/** Every finding about one node. */
export const nodeFindings = {
  'node-runtime': 'The runtime runs and answers on its Admin socket.',
  'node-problems': 'What the runtime itself says is wrong.',
  'node-data-folder': 'The data folder is there and may be written.',
  'node-disk': 'The disk of the data folder has room.',
  'node-model': 'The folder of the base model is complete and may be read.',
  'node-operator-name': 'The name of the operator resolves.',
  'node-operator': 'The operator answers TLS with a certificate that this node accepts.',
  'node-ca': 'The certificate authority of the operator can be read and is valid.',
  'node-token': 'The token for the operator can be read, and is neither over nor for somebody else.',
  'node-clock': 'The clock of this node agrees with the one of the operator.',
  'node-provider': 'The libraries of ONNX Runtime and of its providers can be loaded.',
  'node-lora': 'The native operator of adapters is there and can be used.',
} as const;

export type FindingId = keyof typeof clusterFindings | keyof typeof nodeFindings;

/** The page with a section for each finding. */
export const troubleshooting = 'docs/how-to/troubleshoot.md';
