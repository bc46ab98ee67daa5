import { join } from 'node:path';
import { waitFor } from '../../support/wait.ts';
import { LoggedProcess } from '../process.ts';
import { fabricAddress, mostNodes, nodeAddress, podSubnet } from './addresses.ts';
import { Network } from './network.ts';

const script = [
  'ip link set lo up',
  'ip link add fabric type bridge forward_delay 0',
  `ip addr add ${fabricAddress}/24 dev fabric`,
  'ip link set fabric up',
  ...Array.from(
    { length: mostNodes },
    (_, i) => `ip route add ${podSubnet(i + 1)} via ${nodeAddress(i + 1)}`,
  ),
  'echo ready',
  'exec sleep infinity',
].join(' && ');

/** The network between the nodes of a lab, with the control plane at {@link fabricAddress}: a namespace with a bridge. */
export class Fabric implements AsyncDisposable {
  readonly network: Network;
  readonly #holder: LoggedProcess;

  private constructor(holder: LoggedProcess, folder: string) {
    this.#holder = holder;
    this.network = new Network('fabric', `/proc/${holder.pid}/ns/net`, folder);
  }

  /** @throws what `unshare` or `ip` said */
  static async start(folder: string): Promise<Fabric> {
    const args = ['--net', '--', 'sh', '-c', script];
    const holder = new LoggedProcess('fabric', 'unshare', args, join(folder, 'fabric.log'));
    const fabric = new Fabric(holder, folder);
    await waitFor('the network between nodes', () => {
      holder.throwWhenEnded();
      return holder.tail(1) === 'ready';
    });
    return fabric;
  }

  /** A cable from the fabric to `eth0` of a new network namespace, that of process `pid`. */
  async plug(name: string, pid: number): Promise<void> {
    await this.unplug(name);
    await this.#ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
    await this.#ip('link', 'set', name, 'master', 'fabric', 'up');
  }

  /** Takes the cable away, if it is there: it goes by itself, some time after the network namespace of its other end. */
  async unplug(name: string): Promise<void> {
    const { code, stderr } = await this.network.run(['ip', 'link', 'del', name]);
    if (code !== 0 && !stderr.includes('Cannot find device'))
      throw new Error(`unplugging ${name}: ${stderr}`);
  }

  async link(name: string, state: 'up' | 'down'): Promise<void> {
    await this.#ip('link', 'set', name, state);
  }

  async #ip(...args: readonly string[]): Promise<void> {
    await this.network.runOk(['ip', ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network.close();
    await this.#holder.end();
  }
}
