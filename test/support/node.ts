import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeClient } from './client.ts';
import { AdaptletProcess, repositoryRoot } from './process.ts';

export const tiny = {
  model: join(repositoryRoot, 'test/fixtures/models/tiny/model/onnx-fp32'),
  adapters: join(repositoryRoot, 'test/fixtures/models/tiny/adapters'),
  variants: join(repositoryRoot, 'test/fixtures/models/tiny/variants'),
  root: join(repositoryRoot, 'test/fixtures/models/tiny'),
};

export type NodeOptions = {
  readonly model?: string;
  readonly modelName?: string;
  readonly importRoots?: string;
  /** Reuses the folders of an earlier node. */
  readonly folder?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Root of the sources that run, default this repository. */
  readonly tree?: string | undefined;
  /** It ends when this process is killed. */
  readonly endWithUs?: boolean | undefined;
  /** Folder of the control group that it lives in. */
  readonly group?: string | undefined;
};

/** Addresses of a running node. */
type Ready = {
  readonly grpc: string;
  readonly http: string;
  readonly admin: string;
  readonly dashboard?: string;
};

/** A real `adaptlet serve` process on free ports, with its own manifest and data folders. */
export class TestNode {
  readonly folder: string;
  readonly client: NodeClient;
  readonly grpc: string;
  readonly http: string;
  readonly admin: string;
  /** URL; '' where none is served. */
  readonly dashboard: string;
  readonly log: readonly string[];
  readonly #process: AdaptletProcess<Ready>;

  private constructor(folder: string, started: AdaptletProcess<Ready>) {
    const { grpc, http, admin, dashboard = '' } = started.ready;
    this.folder = folder;
    this.grpc = grpc;
    this.http = http;
    this.admin = admin;
    this.dashboard = dashboard;
    this.log = started.log;
    this.client = new NodeClient(grpc, admin);
    this.#process = started;
  }

  get pid(): number {
    return this.#process.pid;
  }
  get manifests(): string {
    return join(this.folder, 'manifests');
  }
  get data(): string {
    return join(this.folder, 'data');
  }

  static async start(options: NodeOptions = {}): Promise<TestNode> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'adaptlet-node-')));
    await mkdir(join(folder, 'manifests'), { recursive: true });
    const settings = {
      model: options.model ?? tiny.model,
      'model-name': options.modelName ?? 'tiny',
      manifests: join(folder, 'manifests'),
      'data-dir': join(folder, 'data'),
      'import-roots': options.importRoots ?? tiny.root,
      'grpc-listen': '127.0.0.1:0',
      'http-listen': '127.0.0.1:0',
      'log-level': 'debug',
      ...options.settings,
    };
    const { env, tree, endWithUs, group } = options;
    const started = await AdaptletProcess.start<Ready>('serve', { settings, env, tree, endWithUs, group });
    return new TestNode(folder, started);
  }

  /** Writes a manifest file in one step, as `kubectl` or an editor would. */
  async write(file: string, yaml: string): Promise<void> {
    await writeFile(join(this.manifests, file), yaml);
  }
  async remove(file: string): Promise<void> {
    await rm(join(this.manifests, file));
  }

  /** From here on nobody reads what the node logs. */
  stallLog(): void {
    this.#process.stallLog();
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.client.close();
    return this.#process.end(signal);
  }

  async dispose(): Promise<void> {
    await this.end();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Whether a command line is that of an engine process, from the sources or bundled. */
const isEngine = (line: string): boolean => /engine[/-]process/.test(line);

/** Process id of the node's engine process, while it has one. */
export const enginePid = (node: TestNode): number | undefined => {
  const lines = execFileSync('ps', ['-o', 'pid=,ppid=,args=', '-A'], { encoding: 'utf8' }).split('\n');
  const line = lines.find((l) => l.trim().split(/\s+/)[1] === String(node.pid) && isEngine(l));
  return line === undefined ? undefined : Number(line.trim().split(/\s+/)[0]);
};

/** Manifests as text. */
export const yaml = {
  adapter: (name: string, path: string, extra = ''): string =>
    `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${path}}}\n${extra}---\n`,
  rollout: (name: string, adapter: string, steps: string, extra = ''): string =>
    `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: ${name}}\nspec:\n  adapter: ${adapter}\n  strategy: {canary: {steps: [${steps}]}}\n${extra}---\n`,
  /** `rules`: lines of a list, indented by two. */
  route: (name: string, rules: string): string =>
    `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRoute\nmetadata: {name: ${name}}\nspec:\n  model: ${name}\n  rules:\n${rules}---\n`,
};
