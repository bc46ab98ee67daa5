import { join } from 'node:path';

/** What the processes of one cluster know of each other. */
export type Layout = {
  readonly folder: string;
  /** Folder of the certificates. */
  readonly pki: string;
  readonly etcdPort: number;
  readonly etcdPeerPort: number;
  readonly apiPort: number;
};

export const etcdFlags = ({ folder, etcdPort, etcdPeerPort }: Layout): string[] => {
  const [client, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${etcdPeerPort}`];
  return [
    '--name=test',
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=test=${peer}`,
    '--log-level=warn',
    '--unsafe-no-fsync',
  ];
};

export const apiServerFlags = ({ pki, etcdPort, apiPort }: Layout): string[] => [
  `--etcd-servers=http://127.0.0.1:${etcdPort}`,
  '--bind-address=127.0.0.1',
  '--advertise-address=127.0.0.1',
  `--secure-port=${apiPort}`,
  // The Service "kubernetes" may not point to a loopback address: it has no endpoints here.
  '--endpoint-reconciler-type=none',
  '--service-cluster-ip-range=10.96.0.0/16',
  '--authorization-mode=Node,RBAC',
  '--enable-admission-plugins=NodeRestriction',
  '--allow-privileged=true',
  '--profiling=false',
  // Without this a server with open watches takes a minute to end.
  '--shutdown-watch-termination-grace-period=1s',
  `--client-ca-file=${join(pki, 'ca.crt')}`,
  `--tls-cert-file=${join(pki, 'apiserver.crt')}`,
  `--tls-private-key-file=${join(pki, 'apiserver.key')}`,
  `--kubelet-client-certificate=${join(pki, 'kubelet-client.crt')}`,
  `--kubelet-client-key=${join(pki, 'kubelet-client.key')}`,
  `--kubelet-certificate-authority=${join(pki, 'ca.crt')}`,
  '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
  `--service-account-key-file=${join(pki, 'sa.pub')}`,
  `--service-account-signing-key-file=${join(pki, 'sa.key')}`,
  `--requestheader-client-ca-file=${join(pki, 'front-proxy-ca.crt')}`,
  '--requestheader-allowed-names=front-proxy-client',
  '--requestheader-extra-headers-prefix=X-Remote-Extra-',
  '--requestheader-group-headers=X-Remote-Group',
  '--requestheader-username-headers=X-Remote-User',
  `--proxy-client-cert-file=${join(pki, 'front-proxy-client.crt')}`,
  `--proxy-client-key-file=${join(pki, 'front-proxy-client.key')}`,
];

const clientFlags = (pki: string, name: string): string[] => {
  const kubeconfig = join(pki, `${name}.kubeconfig`);
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--secure-port=0',
    '--leader-elect=false',
    '--profiling=false',
  ];
};

export const controllerManagerFlags = ({ pki }: Layout): string[] => [
  ...clientFlags(pki, 'controller-manager'),
  `--service-account-private-key-file=${join(pki, 'sa.key')}`,
  `--root-ca-file=${join(pki, 'ca.crt')}`,
  `--cluster-signing-cert-file=${join(pki, 'ca.crt')}`,
  `--cluster-signing-key-file=${join(pki, 'ca.key')}`,
  '--use-service-account-credentials=true',
  // The default, 20 calls a second, makes it start for 5 s.
  '--kube-api-qps=500',
  '--kube-api-burst=1000',
];

export const schedulerFlags = ({ pki }: Layout): string[] => clientFlags(pki, 'scheduler');
