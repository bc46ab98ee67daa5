import { readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { LoggedProcess } from '../process.ts';
import { mostNodes, nodeAddress, nodeName } from './addresses.ts';
import type { ControlGroup } from './cgroups.ts';
import { offsetFile } from './clock.ts';
import type { Fabric } from './fabric.ts';
import { copyStore } from './image-store.ts';
import { controlGroups } from './machine.ts';
import { Network } from './network.ts';
import { writeNodeFiles } from './node-files.ts';
import { NodeProgram } from './node-program.ts';

/** What a node is made of. */
export type NodeParts = {
  readonly fabric: Fabric;
  readonly group: ControlGroup;
  /** A folder of the lab; the node's disk is a folder of it. */
  readonly folder: string;
  /** Folder of the certificates, with `<name>.kubeconfig`. */
  readonly pki: string;
  /** Folder with kubelet and kube-proxy. */
  readonly programs: string;
  /** See {@link nodePackages}. */
  readonly packages: string;
  readonly registryScheme: 'http' | 'https';
};

type Sandboxes = { readonly Spec: { linux: { namespaces: { type: string; path?: string }[] } } };

const namespaces = ['--mount', '--net', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc'];

const groupArgument = (): string => {
  const { version, hierarchies } = controlGroups();
  if (version === 2) return 'v2';
  return hierarchies.map(({ folder, options }) => `${basename(folder)}=${options}`).join(' ');
};

/**
 * A machine of a lab: containerd, kubelet and kube-proxy under a first process of their own, with their own network, files
 * and control group. Its disk stays when it is killed.
 */
export class LabNode {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly containerd = new NodeProgram(this, 'containerd');
  readonly kubelet = new NodeProgram(this, 'kubelet');
  readonly kubeProxy = new NodeProgram(this, 'kube-proxy');
  readonly #parts: NodeParts;
  #running: { readonly holder: LoggedProcess; readonly pid: number; readonly network: Network } | undefined;
  readonly #podNetworks = new Map<string, Network>();

  constructor(index: number, parts: NodeParts) {
    this.index = index;
    this.name = nodeName(index);
    this.address = nodeAddress(index);
    this.#parts = parts;
  }

  get #disk(): string {
    return join(this.#parts.folder, this.name);
  }
  get #cable(): string {
    return `cable-${this.index}`;
  }
  get #live() {
    if (this.#running === undefined) throw new Error(`${this.name} does not run`);
    return this.#running;
  }

  get runs(): boolean {
    return this.#running !== undefined;
  }

  /** A new disk: configuration, certificates, and the images of an {@link imageStore}. */
  async install(images: string): Promise<void> {
    const [disk, kubernetes] = [this.#disk, join(this.#disk, 'kubernetes')];
    const { pki, registryScheme } = this.#parts;
    await mkdir(join(disk, 'var/lib'), { recursive: true });
    await copyStore(images, join(disk, 'var/lib/containerd'));
    await writeNodeFiles({ name: this.name, index: this.index, folder: disk, registryScheme });
    const files = {
      'ca.crt': 'ca.crt',
      'node.crt': `${this.name}.crt`,
      'node.key': `${this.name}.key`,
      'node.kubeconfig': `${this.name}.kubeconfig`,
      'kube-proxy.kubeconfig': 'kube-proxy.kubeconfig',
    };
    for (const [own, from] of Object.entries(files)) await copyFile(join(pki, from), join(kubernetes, own));
  }

  /** Lets the kubelet start, now and at each boot. Before there is an API server it would wait longer and longer. */
  async allowKubelet(): Promise<void> {
    await writeFile(join(this.#disk, 'go'), '');
  }

  /** Starts the machine; its kubelet comes up in a second or two. Nothing of an earlier boot but the disk is there. */
  async boot(): Promise<void> {
    if (this.#running !== undefined) throw new Error(`${this.name} runs already`);
    const { folder, fabric, group, packages, programs } = this.#parts;
    group.make();
    const script = join(import.meta.dirname, 'node-init.sh');
    const whatIs = [this.#disk, programs, packages, this.name, this.address, String(this.index)];
    const init = ['sh', script, ...whatIs, String(mostNodes), groupArgument()];
    // The control group's own namespace begins once the first process is in the group, alone.
    const [join1, args] = group.joinedBy(['unshare', '--cgroup', '--', ...init]);
    const log = join(folder, `${this.name}.log`);
    const holder = new LoggedProcess(this.name, 'unshare', [...namespaces, '--', join1, ...args], log);
    const pid = await waitFor(`the first process of ${this.name}`, () => {
      holder.throwWhenEnded();
      return Number(readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8')) || undefined;
    });
    const network = new Network(this.name, `/proc/${pid}/ns/net`, folder);
    this.#running = { holder, pid, network };
    await fabric.plug(this.#cable, pid);
  }

  /** As if its power were cut: the network hears nothing more of it, then all of its processes are gone. */
  async kill(): Promise<void> {
    const { holder, pid, network } = this.#live;
    await this.link('down');
    this.#running = undefined;
    // Every process of the node ends with its first one, and `unshare` after them.
    process.kill(pid, 'SIGKILL');
    await holder.ended();
    await Promise.all([network, ...this.#podNetworks.values()].map((each) => each.close()));
    this.#podNetworks.clear();
    await this.#parts.fabric.unplug(this.#cable);
    await this.#parts.group.remove();
  }

  /** Cuts its cable to the other nodes and the control plane, or joins it again. */
  link(state: 'up' | 'down'): Promise<void> {
    return this.#parts.fabric.link(this.#cable, state);
  }

  /** Runs a program on the node, as a shell on it would. */
  async run(command: readonly string[], input = '/dev/null'): Promise<ProgramResult> {
    const inside = ['nsenter', `--target=${this.#live.pid}`];
    const all = ['--mount', '--net', '--uts', '--ipc', '--pid', '--cgroup', '--'];
    const path = 'PATH=/run/programs:/run/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const [sh, args] = this.#parts.group.home.joinedBy([...inside, ...all, 'env', path, ...command]);
    return runProgram('sh', ['-c', 'exec "$@" < "$0"', input, sh, ...args]);
  }

  /** The same; throws with the program's words when it fails. `input`: path of a file of the test machine. */
  async runOk(command: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, input);
    if (code !== 0)
      throw new Error(`${command.join(' ')} on ${this.name} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** The network as this node sees it: Services answer here, by its kube-proxy. A new one after each boot. */
  get network(): Network {
    return this.#live.network;
  }

  /** The network of a pod that runs here. */
  async podNetwork(namespace: string, pod: string): Promise<Network> {
    const ctr = ['ctr', '-n', 'k8s.io'];
    const filter = [
      `labels."io.kubernetes.pod.namespace"==${namespace}`,
      `labels."io.kubernetes.pod.name"==${pod}`,
      'labels."io.cri-containerd.kind"==sandbox',
    ].join(',');
    const ids = (await this.runOk([...ctr, 'containers', 'ls', '-q', filter])).split('\n').filter(Boolean);
    const tasks = await this.runOk([...ctr, 'tasks', 'ls']);
    const id = ids.find((each) =>
      tasks.split('\n').some((line) => line.startsWith(each) && line.includes('RUNNING')),
    );
    if (id === undefined) throw new Error(`pod ${namespace}/${pod} does not run on ${this.name}`);
    const known = this.#podNetworks.get(id);
    if (known !== undefined) return known;
    const { Spec } = JSON.parse(await this.runOk([...ctr, 'containers', 'info', id])) as Sandboxes;
    const path = Spec.linux.namespaces.find(({ type }) => type === 'network')?.path;
    // A pod of the host's network has none of its own.
    if (path === undefined || path === '') return this.network;
    // An absolute link such as /var/run would lead out of the node.
    const inNode = path.replace(/^\/var\/run\//, '/run/');
    const network = new Network(
      `${namespace}-${pod}`,
      `/proc/${this.#live.pid}/root${inNode}`,
      this.#parts.folder,
    );
    this.#podNetworks.set(id, network);
    return network;
  }

  /** From now on, and until it boots, its clock is wrong by so many seconds for pods that have {@link nodeClock}. */
  async shiftClock(seconds: number): Promise<void> {
    const signed = `${seconds < 0 ? '' : '+'}${seconds}s`;
    await this.runOk(['sh', '-c', `echo ${signed} > ${offsetFile}`]);
  }

  /** An OCI archive of the test machine into containerd. */
  async importImage(archive: string): Promise<void> {
    await this.runOk(['ctr', '-n', 'k8s.io', 'images', 'import', '-'], archive);
  }

  async close(): Promise<void> {
    if (this.#running !== undefined) await this.kill();
  }
}
