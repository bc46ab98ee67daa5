import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answer } from '../support/client.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { bytesInRam } from './bytes-in-ram.ts';
import { dropFromPageCache } from './page-cache.ts';
import { writePerturbed } from './perturbed-adapters.ts';

/** A base model and the artifact that all adapters are copies of. */
export type ManyBase = {
  readonly label: string;
  readonly modelDir: string;
  readonly artifact: string;
  readonly prompt: string;
};

export type ManyOptions = {
  readonly base: ManyBase;
  readonly folder: string;
  readonly adapters: number;
  /** Different contents; adapters share them in turn. Each adapter has its own place in RAM all the same. */
  readonly artifacts: number;
  /** Of RAM, in adapters. */
  readonly room: number;
  readonly policy: string;
};

export const nameOf = (adapter: number): string => `adapter-${adapter}`;

const manifest = (adapter: number, path: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${nameOf(adapter)}}
spec: {baseModel: bench, source: {path: {path: ${path}}}, preload: {tier: Disk}}
---
`;

/** A node with many adapters on its disk and room for a few of them in RAM. */
export class ManyNode {
  readonly #node: TestNode;
  readonly #prompt: string;
  readonly #compiled: ReadonlyMap<string, string>;

  private constructor(node: TestNode, prompt: string, compiled: ReadonlyMap<string, string>) {
    this.#node = node;
    this.#prompt = prompt;
    this.#compiled = compiled;
  }

  static async start(
    options: ManyOptions,
  ): Promise<{ readonly node: ManyNode; readonly adapterBytes: number }> {
    const { base, folder, adapters, room, policy } = options;
    const sources = join(folder, 'sources');
    await mkdir(sources);
    const paths = await writePerturbed(base.artifact, sources, Math.min(options.artifacts, adapters));
    const adapterBytes = await bytesInRam({
      modelDir: base.modelDir,
      importRoots: sources,
      path: paths[0] ?? '',
      folder: join(folder, 'sizing'),
      prompt: base.prompt,
    });
    const node = await TestNode.start({
      model: base.modelDir,
      modelName: 'bench',
      folder: join(folder, 'node'),
      importRoots: sources,
      settings: {
        'adapter-memory': `${adapterBytes * room}`,
        'adapter-disk': '8Gi',
        'eviction-policy': policy,
        'log-level': 'error',
      },
    });
    try {
      const yaml = Array.from({ length: adapters }, (_, i) => manifest(i, paths[i % paths.length] ?? ''));
      // Each content once, so that the others find theirs on the disk.
      for (const known of [paths.length, adapters]) {
        await node.write('many.yaml', yaml.slice(0, known).join(''));
        await allCompiled(node, known);
      }
      return { node: new ManyNode(node, base.prompt, await compiledFiles(node)), adapterBytes };
    } catch (error) {
      await node.dispose();
      throw error;
    }
  }

  /** The compiled file of an adapter leaves the page cache; says how many of its pages are left there. */
  makeCold(adapter: string): Promise<number> {
    const file = this.#compiled.get(adapter);
    if (file === undefined) throw new Error(`${adapter} has no compiled file`);
    return dropFromPageCache(file);
  }

  ask(adapter: string): Promise<Answer> {
    return this.#node.client.ask({ model: adapter, prompt: this.#prompt, maxTokens: 1 });
  }

  /** Loads that made an adapter resident, since the node started. */
  async loads(): Promise<number> {
    const text = await (await fetch(`${this.#node.http}/metrics`)).text();
    let loads = 0;
    for (const line of text.split('\n')) {
      if (/^adaptlet_adapter_transitions_total\{.*to="Resident"/.test(line))
        loads += Number(line.split(' ').at(-1));
    }
    return loads;
  }

  async dispose(): Promise<void> {
    await this.#node.dispose();
  }
}

const allCompiled = async (node: TestNode, adapters: number): Promise<void> => {
  let others = '';
  const look = async (): Promise<boolean> => {
    const { adapters: known } = await node.client.status();
    const late = known.filter(({ state }) => state !== 'Compiled');
    others = `${known.length} known, ${late.length} not compiled, such as ${late[0]?.key} ${late[0]?.state} ${late[0]?.message}`;
    return known.length === adapters && late.length === 0;
  };
  await waitFor('all adapters to be compiled', look, 180_000).catch((error: unknown) => {
    throw new Error(`not all adapters came to the disk: ${others}`, { cause: error });
  });
};

/** The compiled file of each adapter, whose name begins with the digest. */
const compiledFiles = async (node: TestNode): Promise<ReadonlyMap<string, string>> => {
  const folder = join(node.data, 'compiled');
  const files = await readdir(folder);
  const { adapters } = await node.client.status();
  return new Map(
    adapters.flatMap(({ key, digest }) => {
      const file = files.find((name) => name.startsWith(digest.slice('sha256:'.length)));
      return file === undefined ? [] : [[key.slice(key.indexOf('/') + 1), join(folder, file)] as const];
    }),
  );
};
