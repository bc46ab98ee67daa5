import { apiServerFlags, controllerManagerFlags, etcdFlags, type Layout, schedulerFlags } from '../flags.ts';
import { fabricAddress } from './addresses.ts';

/** The ports of the control plane, in the network of the fabric. */
export const labLayout = (folder: string, pki: string): Layout => ({
  folder,
  pki,
  etcdPort: 2379,
  etcdPeerPort: 2380,
  apiPort: 6443,
});

/** Of a flag that is given twice the last one holds. */
export const labFlags = (layout: Layout, apiServer: readonly string[]) => ({
  etcd: etcdFlags(layout),
  apiServer: [
    ...apiServerFlags(layout),
    '--bind-address=0.0.0.0',
    `--advertise-address=${fabricAddress}`,
    '--endpoint-reconciler-type=lease',
    '--kubelet-preferred-address-types=InternalIP',
    // Nobody translates Services for the API server: it calls pods itself.
    '--enable-aggregator-routing=true',
    // The pods of a node that is lost are replaced after 15 s and not after 5 minutes.
    '--default-not-ready-toleration-seconds=15',
    '--default-unreachable-toleration-seconds=15',
    ...apiServer,
  ],
  // A node is lost when it was not heard of for 10 s.
  controllerManager: [
    ...controllerManagerFlags(layout),
    '--node-monitor-period=1s',
    '--node-monitor-grace-period=10s',
    '--allocate-node-cidrs=false',
    '--service-cluster-ip-range=10.96.0.0/16',
  ],
  scheduler: schedulerFlags(layout),
});
