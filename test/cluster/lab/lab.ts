import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ProgramResult } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { cacheFolder } from '../../tools/cache.ts';
import { toolPath } from '../build.ts';
import { isLeft, makeFolder, removeFolder } from '../folder.ts';
import { runHelm } from '../helm.ts';
import { type ControlPlane, ProcessCluster } from '../processes.ts';
import { readIdentity } from '../ready.ts';
import { makeLabCertificates, writeLabKubeconfigs } from './access.ts';
import { fabricAddress, mostNodes, nodeName } from './addresses.ts';
import { ControlGroup } from './cgroups.ts';
import { corefile, dnsObjects, dnsReadyPort } from './dns.ts';
import { Fabric } from './fabric.ts';
import { labFlags, labLayout } from './flags.ts';
import { imageStore } from './image-store.ts';
import { ownImages } from './images.ts';
import { labObstacles } from './machine.ts';
import type { Network } from './network.ts';
import { LabNode } from './node.ts';
import { nodePackages } from './packages.ts';
import { LabRegistry, type RegistryOptions } from './registry.ts';

export type LabOptions = {
  /** 0 to 9. */
  readonly nodes: number;
  /**
   * Paths of OCI archives that every node has from the beginning. An image is named by its annotation
   * `io.containerd.image.name` or `org.opencontainers.image.ref.name`, a full name with registry and tag.
   */
  readonly images?: readonly string[];
  readonly registry?: RegistryOptions;
  /** Added to those of the API server. */
  readonly apiServerFlags?: readonly string[];
};

type Ready = { readonly status: { readonly conditions?: readonly { type: string; status: string }[] } };

const removeLeftGroups = async (): Promise<void> => {
  for (const name of ControlGroup.roots()) if (isLeft(name)) await ControlGroup.at(name).remove();
};

/**
 * A whole Kubernetes on this machine: a control plane, and nodes with containerd, kubelet and kube-proxy that run pods, in
 * namespaces of Linux. The network of the machine is not touched: the lab's own is entered by {@link Network}.
 * Nothing of it outlives this process: the kernel ends the processes, and the next start removes files and control groups.
 */
export class Lab extends ProcessCluster {
  /** The network between the nodes, in which also control plane and registry are. Pods are reached from here. */
  readonly fabric: Network;
  readonly nodes: readonly LabNode[];
  readonly #registry: LabRegistry | undefined;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    plane: ControlPlane,
    parts: {
      fabric: Network;
      nodes: LabNode[];
      registry: LabRegistry | undefined;
      resources: AsyncDisposableStack;
    },
  ) {
    super(plane);
    this.fabric = parts.fabric;
    this.nodes = parts.nodes;
    this.#registry = parts.registry;
    this.#resources = parts.resources;
  }

  /**
   * Returns when all nodes are ready, names are resolved and pods can be made.
   * @throws what this machine lacks; or the end of a process's output when that process does not come up
   */
  static async start({ nodes, images = [], registry, apiServerFlags = [] }: LabOptions): Promise<Lab> {
    const obstacles = labObstacles();
    if (obstacles.length > 0) throw new Error(`this machine can run no nodes: ${obstacles.join('; ')}`);
    if (!(nodes >= 0 && nodes <= mostNodes))
      throw new Error(`a lab has 0 to ${mostNodes} nodes, not ${nodes}`);
    await removeLeftGroups();
    await using undo = new AsyncDisposableStack();

    const folder = await makeFolder();
    undo.defer(() => removeFolder(folder));
    // On the disk of the cache: nodes link to images that lie there.
    const disks = await makeFolder(cacheFolder('lab'));
    undo.defer(() => removeFolder(disks));
    const pki = join(folder, 'pki');
    const group = ControlGroup.at(basename(disks));
    undo.defer(() => group.remove());
    for (const each of [group, group.child('control-plane')]) each.make();

    // Takes long once for each set of images: the control plane starts meanwhile.
    const store = ownImages().then((own) => imageStore([...own, ...images]));
    store.catch(() => undefined); // said by the nodes
    const [packages, hyperkube] = await Promise.all([
      nodePackages(),
      toolPath('kubelet'),
      makeLabCertificates(pki, nodes),
    ]);
    const fabric = undo.use(await Fabric.start(folder));
    const [api, etcd] = await Promise.all([
      fabric.network.forward('127.0.0.1', 6443),
      fabric.network.forward('127.0.0.1', 2379),
    ]);
    await writeLabKubeconfigs(pki, nodes, `https://${api.host}`);
    const parts = {
      fabric,
      folder: disks,
      pki,
      packages,
      programs: dirname(hyperkube),
      registryScheme: registry?.tls === false ? 'http' : 'https',
    } as const;
    const plane: ControlPlane = {
      access: {
        kubeconfig: join(pki, 'admin.kubeconfig'),
        server: `https://${api.host}`,
        caFile: join(pki, 'ca.crt'),
        folder,
      },
      identity: await readIdentity(pki),
      etcdServer: `http://${etcd.host}`,
      flags: labFlags(labLayout(folder, pki), apiServerFlags),
      commandOf: (program, flags) => {
        const [command, args] = fabric.network.commandOf([program, ...flags]);
        return group.child('control-plane').joinedBy([command, ...args]);
      },
    };
    const lab = new Lab(plane, {
      fabric: fabric.network,
      nodes: Array.from(
        { length: nodes },
        (_, i) => new LabNode(i + 1, { ...parts, group: group.child(nodeName(i + 1)) }),
      ),
      registry: registry && undo.use(await LabRegistry.start(fabric.network, folder, pki, registry)),
      resources: undo.move(),
    });
    try {
      const starts = [lab.#startControlPlane(pki), ...lab.nodes.map((node) => lab.#startNode(node, store))];
      // Whatever failed: nothing is still on its way when it is closed.
      await Promise.allSettled(starts);
      await Promise.all(starts);
      for (const node of lab.nodes) await node.allowKubelet();
      await lab.#startDns();
      await waitFor('all nodes to be ready', () => lab.#allReady(), 60_000);
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  async #startControlPlane(pki: string): Promise<void> {
    await this.startEtcd();
    await this.startApiServer();
    await Promise.all([this.startControllerManager(), this.startScheduler()]);
    await writeFile(join(this.folder, 'Corefile'), corefile(join(pki, 'controller-manager.kubeconfig')));
  }

  async #startNode(node: LabNode, store: Promise<string>): Promise<void> {
    await node.install(await store);
    await node.boot();
  }

  async #startDns(): Promise<void> {
    await this.kubectlOk(['apply', '-f', '-'], JSON.stringify(dnsObjects));
    await this.startProgram('coredns', ['-conf', join(this.folder, 'Corefile')]);
    const { host } = await this.fabric.forward(fabricAddress, dnsReadyPort);
    await this.until('coredns', 'CoreDNS', async () => (await fetch(`http://${host}/ready`)).ok);
  }

  async #allReady(): Promise<boolean> {
    for (const { index } of this.nodes) if ((await this.nodeReady(index)) !== 'True') return false;
    return true;
  }

  /** A node by its number, from 1; its name is `node-<number>`. */
  node(index: number): LabNode {
    const found = this.nodes[index - 1];
    if (found === undefined) throw new Error(`this lab has no node ${index}`);
    return found;
  }

  /** The registry that the options asked for. */
  get registry(): LabRegistry {
    if (this.#registry === undefined) throw new Error('this lab was started without a registry');
    return this.#registry;
  }

  /** What the cluster says of a node: Unknown when it was not heard of for 10 s. */
  async nodeReady(index: number): Promise<'True' | 'False' | 'Unknown' | undefined> {
    const found = await this.get<Ready>('node', this.node(index).name, '');
    const status = found?.status.conditions?.find(({ type }) => type === 'Ready')?.status;
    return status as 'True' | 'False' | 'Unknown' | undefined;
  }

  /** Runs the real helm as cluster-admin. */
  helm(...args: readonly string[]): Promise<ProgramResult> {
    return runHelm(args, { kubeconfig: this.kubeconfig, home: join(this.folder, 'helm') });
  }

  /** An OCI archive into containerd of all nodes that run. */
  async importImage(archive: string): Promise<void> {
    await Promise.all(this.nodes.filter(({ runs }) => runs).map((node) => node.importImage(archive)));
  }

  /** The network of a running pod, to be as one of its containers. */
  async podNetwork(namespace: string, name: string): Promise<Network> {
    const pod = await this.get<{ spec: { nodeName?: string } }>('pod', name, namespace);
    const node = this.nodes.find((each) => each.name === pod?.spec.nodeName);
    if (node === undefined) throw new Error(`pod ${namespace}/${name} is on no node`);
    return node.podNetwork(namespace, name);
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    await Promise.all([this.endProcesses(), ...this.nodes.map((node) => node.close())]);
    await this.#resources.disposeAsync();
  }
}
