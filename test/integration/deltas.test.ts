import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomOf, trainedFrom } from '../../src/artifact/delta/weights.fixture.ts';
import { deltaType } from '../../src/artifact/delta-manifest.ts';
import { adaptlet } from '../support/cli.ts';
import { TestNode, tiny } from '../support/node.ts';
import { runProgram } from '../support/program.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { tool } from '../tools/build.ts';
import { type RegistryAuth, type RegistryProcess, startRegistry } from '../tools/registry-process.ts';
import { hasRegistry, oras } from './model/registry.ts';

const auth: RegistryAuth = { kind: 'bearer', user: 'edge', password: 'secret' };
const weightsFile = 'adapter_model.safetensors';

type Delta = {
  readonly from: string;
  readonly to: string;
  readonly wholeBytes: number;
  readonly zstdBytes: number;
  readonly deltaBytes: number;
  readonly attached?: string;
  readonly listedBy?: string;
  readonly why?: string;
};

/** A door to a registry that counts what blobs cost; one of two has no API for referrers. */
class Door implements AsyncDisposable {
  blobBytes = 0;
  readonly #server;

  constructor(registry: string, hasApi: boolean) {
    this.#server = createServer((incoming, outgoing) => {
      const { url: path = '/', headers, method } = incoming;
      if (!hasApi && path.includes('/referrers/')) {
        outgoing.writeHead(404).end();
        return;
      }
      const onward = request(`http://${registry}${path}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        if (method === 'GET' && path.includes('/blobs/'))
          answer.on('data', (chunk: Buffer) => {
            this.blobBytes += chunk.length;
          });
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      incoming.pipe(onward);
    });
  }

  async open(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Other numbers in a file of the same form. */
const trainedAnew = (weights: Buffer): Buffer => {
  const random = randomOf(9);
  const next = Buffer.from(weights);
  const start = 8 + Number(weights.readBigUInt64LE());
  for (let at = start; at < next.length; at += 4) next.writeFloatLE((random() / 2 ** 32 - 0.5) * 0.02, at);
  return next;
};

const adapter = (name: string, image: string) =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${image}"}}\n---\n`;

describe.skipIf(!hasRegistry)('deltas between versions (needs go to build the registry and oras)', () => {
  let registry: RegistryProcess;
  const root = folderOfTests();
  let login: readonly string[];
  let wholeBytes: number;
  const versions = ['v1', 'v2', 'v3'] as const;
  const folder = (version: string): string => join(root, version);

  beforeAll(async () => {
    registry = await startRegistry((await tool('registry')) ?? '', { auth });
    await writeSyntheticAdapter(folder('v1'), join(tiny.model, '../config.json'), { rank: 32 });
    const weights = await readFile(join(folder('v1'), weightsFile));
    wholeBytes = weights.length;
    await cp(folder('v1'), folder('v2'), { recursive: true });
    await writeFile(join(folder('v2'), weightsFile), trainedFrom(weights, 5));
    await cp(folder('v1'), folder('v3'), { recursive: true });
    await writeFile(join(folder('v3'), weightsFile), trainedAnew(weights));
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  const config = async (host: string): Promise<string> => {
    const path = join(root, `${host.replace(':', '-')}.json`);
    const encoded = Buffer.from(`${auth.user}:${auth.password}`).toString('base64');
    await writeFile(path, JSON.stringify({ auths: { [host]: { auth: encoded } } }));
    return path;
  };
  const pushAll = async (host: string, repository: string): Promise<void> => {
    login = ['--registry-config', await config(host)];
    for (const version of versions) {
      const pushed = await adaptlet('push', folder(version), `${host}/${repository}:${version}`, ...login);
      expect(pushed).toMatchObject({ code: 0, stderr: '' });
    }
  };
  const delta = async (from: string, to: string, ...flags: readonly string[]): Promise<Delta> => {
    const { code, stdout, stderr } = await adaptlet('delta', from, to, '--json', ...login, ...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as Delta;
  };
  /** Starts a node that has the first version. */
  const nodeWithFirst = async (
    host: string,
    repository: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<TestNode> => {
    const node = await TestNode.start({ settings: { 'registry-config': await config(host), ...settings } });
    const text = versions.map((version) => adapter(version, `${host}/${repository}:${version}`)).join('');
    await node.write('adapters.yaml', text);
    await waitFor(
      'the adapters',
      async () => (await node.client.status()).adapters.length === versions.length,
    );
    await preload(node, 'v1');
    return node;
  };
  const preload = async (node: TestNode, name: string): Promise<void> => {
    const loaded = await adaptlet('preload', name, '--data-dir', node.data);
    expect(loaded).toMatchObject({ code: 0, stderr: '' });
  };
  /** The weights of a version as the node has them. */
  const weightsOn = async (node: TestNode, digest: string): Promise<Buffer> =>
    await readFile(join(node.data, 'store/adapters', digest.replace('sha256:', ''), 'files', weightsFile));
  const manifestOn = async (
    node: TestNode,
    digest: string,
  ): Promise<{ readonly config: { readonly size: number } }> =>
    JSON.parse(
      await readFile(
        join(node.data, 'store/adapters', digest.replace('sha256:', ''), 'manifest.json'),
        'utf8',
      ),
    );
  const metric = async (node: TestNode, name: string): Promise<number> => {
    const text = await (await fetch(`${node.http}/metrics`)).text();
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1] ?? 0,
    );
  };

  it.each([
    ['the API for referrers', true, 'api'],
    ['the fallback tag', false, 'tag'],
  ])(
    'are attached, found by %s and applied by a node that has the version before',
    async (_, hasApi, listedBy) => {
      await using door = await new Door(registry.host, hasApi).open();
      const repository = `team/${listedBy}`;
      await pushAll(door.host, repository);
      const [from, to] = [`${door.host}/${repository}:v1`, `${door.host}/${repository}:v2`];
      const made = await delta(from, to);
      expect(made).toMatchObject({ wholeBytes, listedBy });
      expect(made.deltaBytes).toBeLessThan(0.5 * wholeBytes);
      expect(made.zstdBytes).toBeGreaterThan(made.deltaBytes);
      // The same once more is the same delta, listed once.
      expect((await delta(from, to)).attached).toBe(made.attached);

      const node = await nodeWithFirst(door.host, repository);
      try {
        const before = door.blobBytes;
        await preload(node, 'v2');
        // Its configuration says what its files are, and so comes as well.
        const { size: configBytes } = (await manifestOn(node, made.to)).config;
        expect(door.blobBytes - before).toBe(made.deltaBytes + configBytes);
        expect(await weightsOn(node, made.to)).toEqual(await readFile(join(folder('v2'), weightsFile)));
        expect(await metric(node, 'adaptlet_deltas_total{result="applied"}')).toBe(1);
        expect(await metric(node, 'adaptlet_delta_saved_bytes_total')).toBe(wholeBytes - made.deltaBytes);
        await preload(node, 'v3');
        expect(door.blobBytes - before).toBeGreaterThan(wholeBytes);
        expect(await metric(node, 'adaptlet_deltas_total{result="none"}')).toBe(1);
      } finally {
        await node.dispose();
      }
    },
  );

  it('are not attached where they are not worth it, but by --force; and a node can be told not to take any', async () => {
    await using door = await new Door(registry.host, true).open();
    await pushAll(door.host, 'team/off');
    const [from, to] = [`${door.host}/team/off:v1`, `${door.host}/team/off:v3`];
    const refused = await delta(from, to);
    expect(refused.attached).toBeUndefined();
    expect(refused.why).toContain('--force');
    const made = await delta(from, to, '--force');
    expect(made.attached).toMatch(/^sha256:/);

    const node = await nodeWithFirst(door.host, 'team/off', { 'delta-lookup': '0s' });
    try {
      const before = door.blobBytes;
      await preload(node, 'v3');
      expect(door.blobBytes - before).toBeGreaterThanOrEqual(wholeBytes);
    } finally {
      await node.dispose();
    }
  });

  it('are what oras discovers, with the digest of the base', async () => {
    const { host } = registry;
    await pushAll(host, 'team/seen');
    const made = await delta(`${host}/team/seen:v1`, `${host}/team/seen:v2`);
    const access = ['--plain-http', '--username', auth.user, '--password', auth.password];
    const run = async (...args: readonly string[]): Promise<unknown> => {
      const { code, stdout } = await runProgram(oras, args, { cwd: root, env: { HOME: root } });
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    const found = await run('discover', ...access, '--format', 'json', `${host}/team/seen:v2`);
    expect(found).toMatchObject({ referrers: [{ digest: made.attached, artifactType: deltaType }] });
    const manifest = await run('manifest', 'fetch', ...access, `${host}/team/seen@${made.attached}`);
    expect(manifest).toMatchObject({
      subject: { digest: made.to },
      annotations: { 'adaptlet.io/delta-from': made.from },
    });
  });

  it('are measured between folders, and refused between what makes none', async () => {
    login = [];
    const dry = await delta(folder('v1'), folder('v2'), '--dry-run');
    expect(dry).toMatchObject({ wholeBytes, why: '--dry-run' });
    const other = join(root, 'small');
    await mkdir(other, { recursive: true });
    await cp(join(tiny.adapters, 'upper'), other, { recursive: true });
    for (const [args, words] of [
      [[folder('v1'), folder('v2')], '--dry-run'],
      [[folder('v1'), folder('v1'), '--dry-run'], 'no safetensors file'],
      [[folder('v1'), other, '--dry-run'], 'no safetensors file'],
      [['r.test/a:v1', 'r.test/b:v2'], 'two repositories'],
    ] as const) {
      const refused = await adaptlet('delta', ...args);
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(words) });
    }
  });
});
