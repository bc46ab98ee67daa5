import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Digest } from '../../../src/api/names.ts';
import { artifactOf, type FixtureArtifact, fileLayer } from '../../../src/artifact/artifact.fixture.ts';
import { digestOf } from '../../../src/artifact/digest.ts';
import { FakeRegistry } from '../../../src/artifact/fake-registry.ts';
import { TestNode, tiny } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { policyOf } from './manifests.ts';

/** What became of an Adapter of team-b. `text`: what the node says of it, and what a request is told. */
export type Attempt = { readonly isServed: boolean; readonly code: string; readonly text: string };

export type Wanted = {
  /** Below `host/`; else a path. */
  readonly image?: string;
  readonly path?: string;
  readonly digest?: Digest;
};

const files = ['adapter_config.json', 'adapter_model.safetensors'] as const;
const layersOf = (adapter: string) =>
  Promise.all(files.map(async (file) => fileLayer(file, await readFile(join(tiny.adapters, adapter, file)))));

const answerOf = async (
  registry: FakeRegistry,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  if (!registry.isUp) {
    response.destroy();
    return;
  }
  const { authorization, range } = request.headers;
  const headers = new Headers({
    ...(authorization === undefined ? {} : { authorization }),
    ...(range === undefined ? {} : { range }),
  });
  const answer = registry.answer(request.url ?? '/', headers);
  const body = Buffer.from(await answer.arrayBuffer());
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body);
};

/**
 * A node with a registry. The adapter of team-a came from there; team-b may name what is below `team-b` in the registry, and
 * folders. It has read the digests of team-a somewhere, and its manifest.
 */
export class DigestStage {
  readonly secret: FixtureArtifact;
  readonly host: string;
  readonly registry: FakeRegistry;
  #node: TestNode;
  #parts = new AsyncDisposableStack();
  #attempts = 0;

  private constructor(secret: FixtureArtifact, host: string, registry: FakeRegistry, node: TestNode) {
    this.secret = secret;
    this.host = host;
    this.registry = registry;
    this.#node = node;
  }

  static async start(): Promise<DigestStage> {
    await using stack = new AsyncDisposableStack();
    const registry = new FakeRegistry();
    const door = createServer((request, response) => {
      void answerOf(registry, request, response);
    });
    stack.defer(() => {
      door.closeAllConnections();
      door.close();
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const host = `127.0.0.1:${(door.address() as AddressInfo).port}`;
    const secret = artifactOf(await layersOf('upper'));
    const own = artifactOf(await layersOf('reverse'));
    registry.put('team-a/sauce', secret);
    registry.put('team-b/own', own);
    registry.put('team-b/hollow', secret, [...secret.blobs.keys()]);
    const [config, weights] = await layersOf('upper');
    if (config === undefined || weights === undefined) throw new Error('the fixture has no files');
    const thief = artifactOf([
      fileLayer('adapter_config.json', Buffer.concat([config.bytes, Buffer.from('\n')])),
      weights,
    ]);
    registry.put('team-b/listed', thief, [digestOf(Buffer.from(weights.bytes))]);
    const stage = new DigestStage(secret, host, registry, await TestNode.start());
    stack.defer(() => stage.#node.dispose());
    await stage.#begin();
    stage.#parts = stack.move();
    return stage;
  }

  async #begin(): Promise<void> {
    const { host } = this;
    await this.#node.write(
      'all.yaml',
      [
        policyOf('team-a', { clients: { anonymous: 'Allow' } }),
        policyOf('team-b', {
          clients: { anonymous: 'Allow' },
          sources: { registries: [`${host}/team-b`], paths: ['adapters'] },
        }),
        this.#adapter('team-a', 'sauce', { image: 'team-a/sauce:latest' }),
        `${JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterRoute', metadata: { name: 'personal', namespace: 'team-b' }, spec: { model: 'personal', rules: [{ name: 'users', perUser: { baseModel: 'tiny', source: { oci: { image: `${host}/team-b/{user}:latest` } } } }] } })}\n---\n`,
      ].join(''),
    );
    await waitFor('the adapter of team-a to serve', () => this.victimServes());
  }

  #adapter(namespace: string, name: string, { image, path, digest }: Wanted): string {
    const source = image === undefined ? { path: { path } } : { oci: { image: `${this.host}/${image}` } };
    return `${JSON.stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'Adapter',
      metadata: { name, namespace },
      spec: {
        baseModel: 'tiny',
        source,
        preload: { tier: 'Memory' },
        ...(digest === undefined ? {} : { digest }),
      },
    })}\n---\n`;
  }

  /** Whether team-a is answered by its own adapter. */
  async victimServes(): Promise<boolean> {
    const { served } = await this.#node.client.ask({ namespace: 'team-a', model: 'sauce', prompt: 'moon:' });
    return served.digest === this.secret.digest;
  }

  /** team-b makes an Adapter, waits for what becomes of it, and asks for it. */
  async attempt(wanted: Wanted): Promise<Attempt> {
    this.#attempts += 1;
    const name = `attempt-${this.#attempts}`;
    await this.#node.write(`${name}.yaml`, this.#adapter('team-b', name, wanted));
    const view = await waitFor('what becomes of the adapter', async () => {
      const { adapters } = await this.#node.client.status();
      const found = adapters.find(({ key }) => key === `team-b/${name}`);
      return found !== undefined && ['Failed', 'Resident'].includes(found.state) && found;
    });
    const asked = await this.ask(name);
    await this.#node.remove(`${name}.yaml`);
    const text = `${view.message} ${asked.text}`.replaceAll(name, 'NAME');
    return { isServed: asked.isServed || view.state === 'Resident', code: view.reason, text };
  }

  /** team-b asks for a model, as a user. */
  async ask(model: string, user = ''): Promise<Attempt> {
    try {
      const { served } = await this.#node.client.ask({ namespace: 'team-b', model, user, prompt: 'moon:' });
      return { isServed: true, code: '', text: served.digest };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { isServed: false, code: /\((\w+)\)/.exec(text)?.[1] ?? '', text };
    }
  }

  /** Takes the adapter of team-a out of RAM; it stays on the disk. */
  evictVictim(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#node.client.admin.evict({ adapter: 'team-a/sauce' }, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  /** Cuts the power of the process, and starts it again over the same disk. */
  async restart(): Promise<void> {
    const { folder } = this.#node;
    await this.#node.end('SIGKILL');
    this.#node = await TestNode.start({ folder });
    await waitFor('the adapter of team-a to serve again', () => this.victimServes());
  }

  async dispose(): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
