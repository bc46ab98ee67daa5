import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../../cluster/ports.ts';
import { NodeClient } from '../../support/client.ts';
import { programFolder } from '../../support/process.ts';
import { waitFor } from '../../support/wait.ts';

/** A real `adaptlet serve` that is looked at before it is ready, too. */
export class Serving implements AsyncDisposable {
  readonly data: string;
  readonly log: string[] = [];
  readonly client: NodeClient;
  readonly #http: string;
  readonly #child: ChildProcess;

  private constructor(data: string, http: string, child: ChildProcess, client: NodeClient) {
    this.data = data;
    this.client = client;
    this.#http = http;
    this.#child = child;
    if (child.stderr !== null)
      createInterface({ input: child.stderr }).on('line', (line) => void this.log.push(line));
  }

  /** Resolves once it listens. `data`: the folder of an earlier one. */
  static async start(
    model: string,
    settings: Readonly<Record<string, string>> = {},
    data?: string,
  ): Promise<Serving> {
    const folder = data ?? (await mkdtemp(join(tmpdir(), 'adaptlet-model-data-')));
    const [grpc, http] = [await freePort(), await freePort()].map((port) => `127.0.0.1:${port}`);
    const all = {
      model,
      'model-name': 'tiny',
      'data-dir': folder,
      'grpc-listen': grpc ?? '',
      'http-listen': http ?? '',
      ...settings,
    };
    const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(join(programFolder(), 'adaptlet'), ['serve', ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const client = new NodeClient(grpc ?? '', `unix:${join(folder, 'admin.sock')}`);
    const serving = new Serving(folder, `http://${http}`, child, client);
    await waitFor('the runtime to listen', async () => {
      if (child.exitCode !== null) throw new Error(serving.log.join('\n'));
      return (await serving.get('/livez')).ok;
    });
    return serving;
  }

  /** Processes that it started and that run now: the engine. Linux tells. */
  async children(): Promise<readonly number[]> {
    const { pid } = this.#child;
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.#http}${path}`);
  }

  /** Text of /readyz with its status. */
  async readyz(): Promise<{ readonly ok: boolean; readonly text: string }> {
    const answer = await this.get('/readyz');
    return { ok: answer.ok, text: await answer.text() };
  }

  async ready(): Promise<void> {
    await waitFor('the runtime to be ready', async () => (await this.readyz()).ok, 60_000);
  }

  /** Waits until /readyz says this and answers 503. */
  async says(pattern: RegExp): Promise<string> {
    return await waitFor(`/readyz to say ${pattern.source}`, async () => {
      const { ok, text } = await this.readyz();
      return !ok && pattern.test(text) && text;
    });
  }

  /** The exit code; null after a signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.client.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    this.#child.kill(signal);
    const [code] = (await once(this.#child, 'exit')) as [number | null];
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    await rm(this.data, { recursive: true, force: true });
  }
}
