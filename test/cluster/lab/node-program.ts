import type { LabNode } from './node.ts';

/** A program that a node's first process keeps running. */
export class NodeProgram {
  readonly #node: LabNode;
  readonly #name: string;

  constructor(node: LabNode, name: 'containerd' | 'kubelet' | 'kube-proxy') {
    this.#node = node;
    this.#name = name;
  }

  /** Its process id, as the node counts; it changes when the program comes back. */
  async pid(): Promise<number> {
    return Number(await this.#node.runOk(['cat', `/run/${this.#name}.pid`]));
  }

  /** kill -9; it comes back in a moment. */
  async kill(): Promise<void> {
    await this.#node.runOk(['kill', '-9', String(await this.pid())]);
  }

  /** kill -9; it does not come back until {@link start}, or until the node boots. */
  async stop(): Promise<void> {
    await this.#node.runOk(['touch', `/run/stopped/${this.#name}`]);
    await this.kill();
  }

  async start(): Promise<void> {
    await this.#node.runOk(['rm', '-f', `/run/stopped/${this.#name}`]);
  }

  /** The end of what it wrote. */
  log(lines = 50): Promise<string> {
    return this.#node.runOk(['tail', '-n', String(lines), `/var/log/${this.#name}.log`]);
  }
}
