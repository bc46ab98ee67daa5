import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, tiny } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { tool } from '../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../tools/registry-process.ts';

const execute = promisify(execFile);
const [registryTool, oras] = [await tool('registry'), await tool('oras')];
const missing = registryTool === undefined || oras === undefined;
const auth = { kind: 'basic', user: 'edge', password: 'secret' } as const;

/** Pushes a PEFT folder with the real oras and returns the digest that it prints. */
const push = async (host: string, repository: string, adapter: string): Promise<string> => {
  const files = ['adapter_config.json', 'adapter_model.safetensors'];
  const login = ['--username', auth.user, '--password', auth.password, '--plain-http'];
  const { stdout } = await execute(oras ?? '', ['push', ...login, `${host}/${repository}`, ...files], {
    cwd: join(tiny.adapters, adapter),
  });
  return /Digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1] ?? '';
};

const adapter = (name: string, image: string, extra = '') =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${image}"}}\n${extra}---\n`;

describe.skipIf(missing)('adapters from an OCI registry (needs go to build the registry and oras)', () => {
  let registry: RegistryProcess;
  const folder = folderOfTests();
  let node: TestNode;
  let digest: string;

  beforeAll(async () => {
    registry = await startRegistry(registryTool ?? '', { auth });
    const login = Buffer.from(`${auth.user}:${auth.password}`).toString('base64');
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth: login } } }),
    );
    digest = await push(registry.host, 'team/upper:v1', 'upper');
    await push(registry.host, 'users/ann:current', 'hello');
    node = await TestNode.start({ settings: { 'registry-config': join(folder, 'config.json') } });
    await node.write(
      'adapters.yaml',
      adapter('upper', `${registry.host}/team/upper:v1`) +
        adapter('none', `${registry.host}/team/none:v1`) +
        adapter('pinned', `${registry.host}/team/upper:v1`, `  digest: sha256:${'0'.repeat(64)}\n`),
    );
    await node.write(
      'route.yaml',
      `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: mine}
spec:
  model: mine
  rules:
  - name: personal
    perUser: {baseModel: tiny, source: {oci: {image: "${registry.host}/users/{user}:current"}}}
    fallback: [{base: true}]
`,
    );
    await waitFor('the manifests', async () => (await node.client.status()).routes.length === 1);
  });
  afterAll(async () => {
    await node.dispose();
    await registry[Symbol.asyncDispose]();
  });

  const ask = (model: string, user = '') => node.client.ask({ model, prompt: 'moon:', user });

  it('are fetched on demand with Basic credentials and served under the digest that oras printed', async () => {
    const { text, served } = await ask('upper');
    expect(text).toBe(' MOON!');
    expect(served.digest).toBe(digest);
  });

  it('can be one for each user, without an object for each', async () => {
    const ann = await ask('mine', 'ann');
    expect([ann.text, ann.served.rule]).toEqual([' hello moon.', 'personal']);
    const bob = await ask('mine', 'bob');
    expect([bob.text, bob.served.adapter]).toEqual([' moon moon.', '']);
  });

  it('that do not exist are refused with the reason', async () => {
    await expect(ask('none')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
      message: expect.stringContaining('ARTIFACT_NOT_FOUND') as string,
    });
  });

  it('that have another digest than the manifest says never serve', async () => {
    await expect(ask('pinned')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
      message: expect.stringContaining('DIGEST_MISMATCH') as string,
    });
  });

  const restart = async (): Promise<void> => {
    const settings = { 'registry-config': join(folder, 'config.json') };
    node = await TestNode.start({ folder: node.folder, settings });
  };
  const answersAsBefore = async (): Promise<void> => {
    expect((await ask('upper')).text).toBe(' MOON!');
    expect((await ask('mine', 'ann')).served.rule).toBe('personal');
  };

  it('go on serving after a restart while the registry is down, those of users too', async () => {
    await node.end();
    await registry[Symbol.asyncDispose]();
    await restart();
    await answersAsBefore();
  });

  it('do so after an upgrade from a version that recorded no grants', async () => {
    await node.end('SIGKILL');
    await rm(join(node.data, 'store/grants'), { recursive: true });
    await restart();
    await answersAsBefore();
    await node.end();
    await restart();
    await answersAsBefore();
  });

  it('do not where the grants were emptied by hand, and wait for the registry', async () => {
    await node.end();
    await rm(join(node.data, 'store/grants'), { recursive: true });
    await mkdir(join(node.data, 'store/grants'));
    await restart();
    await expect(ask('upper')).rejects.toThrow('REGISTRY_UNAVAILABLE');
    expect((await ask('mine', 'ann')).served.adapter).toBe('');
  });
});

describe('a registry that refuses every connection', () => {
  it('is tried again and again by itself, without a request and without a change of the manifests', async () => {
    let connections = 0;
    const door = createServer((socket) => {
      connections += 1;
      socket.resetAndDestroy();
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const node = await TestNode.start();
    try {
      const { port } = door.address() as AddressInfo;
      await node.write(
        'adapters.yaml',
        adapter('away', `127.0.0.1:${port}/team/away:v1`, '  preload: {tier: Memory}\n'),
      );
      // Five in a row are one try.
      await waitFor('three tries', () => connections >= 15, 120_000);
    } finally {
      await node.dispose();
      door.close();
    }
  });
});
