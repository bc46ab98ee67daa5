import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dnsAddress, fabricAddress, podNetwork, podSubnet, registryHost } from './addresses.ts';
import { pauseImage } from './images.ts';

/** What a node's files say of it. */
export type NodeFiles = {
  readonly name: string;
  readonly index: number;
  /** The node's disk: here are `kubernetes`, `cni` and `containerd` with its files. */
  readonly folder: string;
  readonly registryScheme: 'http' | 'https';
};

/** Paths are those that the node sees. */
const containerd = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;

/** Pods are routed, each on a cable of its own: replies to a Service come back the way of the request, on any kernel. */
const cni = (index: number) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipMasq: false,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: podSubnet(index) }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: '/run/cni-addresses',
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

const kubelet = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: '/etc/kubernetes/ca.crt' },
  },
  authorization: { mode: 'Webhook' },
  tlsCertFile: '/etc/kubernetes/node.crt',
  tlsPrivateKeyFile: '/etc/kubernetes/node.key',
  cgroupDriver: 'cgroupfs',
  cgroupRoot: '/',
  failCgroupV1: false,
  failSwapOn: false,
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  clusterDNS: [dnsAddress],
  clusterDomain: 'cluster.local',
  resolvConf: '/etc/resolv.conf',
  // A test machine may not give lower scores or more files.
  oomScoreAdj: 0,
  maxOpenFiles: 20_000,
  // A node that is lost is noticed in 10 s (lab/flags.ts); a ConfigMap that changes is in the pod in 13.
  nodeStatusUpdateFrequency: '2s',
  nodeLeaseDurationSeconds: 8,
  syncFrequency: '10s',
  systemReserved: { memory: '100Mi' },
  // The disk is that of the test machine: how full it is, is no matter of the node.
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '1%',
    'imagefs.available': '1%',
    'nodefs.inodesFree': '1%',
  },
  imageGCHighThresholdPercent: 100,
  serializeImagePulls: false,
  shutdownGracePeriod: '0s',
};

const kubeProxy = (name: string) => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  clientConnection: { kubeconfig: '/etc/kubernetes/kube-proxy.kubeconfig' },
  mode: 'nftables',
  clusterCIDR: podNetwork,
  detectLocalMode: 'ClusterCIDR',
  hostnameOverride: name,
  // These would be settings of the whole machine.
  conntrack: { maxPerCore: 0, min: 0 },
  metricsBindAddress: '127.0.0.1:10249',
  healthzBindAddress: '127.0.0.1:10256',
});

const registry = (scheme: 'http' | 'https'): string => `server = "${scheme}://${registryHost}"
[host."${scheme}://${registryHost}"]
${scheme === 'https' ? '  ca = "/etc/kubernetes/ca.crt"' : ''}
`;

/** Writes the configuration of a node's programs. JSON is YAML. */
export const writeNodeFiles = async ({ name, index, folder, registryScheme }: NodeFiles): Promise<void> => {
  const files = {
    'containerd/config.toml': containerd,
    [`containerd/certs.d/${registryHost}/hosts.toml`]: registry(registryScheme),
    'cni/10-pods.conflist': JSON.stringify(cni(index)),
    'kubernetes/kubelet.yaml': JSON.stringify(kubelet),
    'kubernetes/kube-proxy.yaml': JSON.stringify(kubeProxy(name)),
    'resolv.conf': `nameserver ${dnsAddress}\n`,
    hosts: `127.0.0.1 localhost\n${fabricAddress} fabric\n`,
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
};
