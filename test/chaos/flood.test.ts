import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeRegistry } from '../../src/artifact/fake-registry.ts';
import { TestNode } from '../support/node.ts';
import { ownAdapter, ownWeights } from '../support/own-adapter.ts';
import { RegistryServer } from '../support/registry-server.ts';
import { waitFor } from '../support/wait.ts';

/** Names that one tenant asks for. For every third of them there is an adapter, each with weights of its own. */
const flood = 900;
const atATime = 6;
const quiet = ['own-0', 'own-1'];

const registry = new FakeRegistry();
let server: RegistryServer;
let node: TestNode;
/** Digests in hex by repository. */
const digests = new Map<string, string>();

const put = (repository: string): void => {
  const artifact = ownAdapter(digests.size);
  registry.put(repository, artifact);
  digests.set(repository, artifact.digest.slice('sha256:'.length));
};

beforeAll(async () => {
  const bytes = ownWeights(0).length;
  for (const name of quiet) put(`quiet/${name}`);
  for (let i = 0; i < flood; i += 3) put(`people/u${i}`);
  server = await RegistryServer.start(registry);
  // Room for about twelve artifacts with their compiled files, and for some eight in RAM.
  node = await TestNode.start({
    settings: {
      'adapter-disk': String(24 * bytes),
      'adapter-memory': String(8 * bytes),
      'log-level': 'warn',
    },
  });
  const objects = [
    ...['loud', 'quiet'].map((namespace) => ({
      kind: 'AdapterPolicy',
      metadata: { name: 'default', namespace },
      spec: { clients: { anonymous: 'Allow' } },
    })),
    {
      kind: 'AdapterRoute',
      metadata: { name: 'personal', namespace: 'loud' },
      spec: {
        model: 'personal',
        rules: [
          {
            name: 'own',
            perUser: { baseModel: 'tiny', source: { oci: { image: `${server.host}/people/{user}:latest` } } },
          },
        ],
      },
    },
    ...quiet.map((name) => ({
      kind: 'Adapter',
      metadata: { name, namespace: 'quiet' },
      spec: { baseModel: 'tiny', source: { oci: { image: `${server.host}/quiet/${name}:latest` } } },
    })),
  ];
  const text = objects.map((one) => JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', ...one }));
  await node.write('all.yaml', text.join('\n---\n'));
  await waitFor('the plan', async () => {
    const { routes, adapters } = await node.client.status();
    return routes.some(({ accepted }) => accepted) && adapters.length === quiet.length;
  });
});
afterAll(async () => {
  await node.dispose();
  await server[Symbol.asyncDispose]();
});

const ofQuiet = (path: string): boolean => path.startsWith('quiet/');
const askQuiet = async (): Promise<void> => {
  for (const model of quiet)
    expect((await node.client.ask({ namespace: 'quiet', model, prompt: 'moon:' })).text).toBe(' MOON!');
};
const expectUntouched = async (): Promise<void> => {
  const { adapters } = await node.client.status();
  const states = adapters.filter(({ key }) => ofQuiet(key)).map(({ key, state }) => `${key} ${state}`);
  expect(states.toSorted()).toEqual(quiet.map((name) => `quiet/${name} Resident`));
};
const onDisk = async () => new Set(await readdir(join(node.data, 'store/adapters')));

it('a tenant that asks for thousands of adapters puts out its own: another one keeps its own on the disk and in RAM', async () => {
  await askQuiet();
  const before = registry.reads.filter(({ path }) => ofQuiet(path)).length;
  const outcomes = new Map<string, number>();
  let next = 0;
  const ask = async (): Promise<void> => {
    while (next < flood) {
      const user = `u${next}`;
      next += 1;
      const asked = node.client.ask({
        namespace: 'loud',
        model: 'personal',
        user,
        prompt: 'x',
        maxTokens: 1,
      });
      const outcome = await asked.then(
        () => 'answered',
        (error: Error) => (error.message.includes('ARTIFACT_NOT_FOUND') ? 'nothing there' : error.message),
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (next % 250 === 0) await expectUntouched();
    }
  };
  await Promise.all(Array.from({ length: atATime }, ask));
  const there = Math.ceil(flood / 3);
  expect(Object.fromEntries(outcomes)).toEqual({ answered: there, 'nothing there': flood - there });

  await expectUntouched();
  const folders = await onDisk();
  for (const name of quiet) expect(folders).toContain(digests.get(`quiet/${name}`));
  const left = [...digests].filter(([name, hex]) => !ofQuiet(name) && folders.has(hex)).length;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(12);
  // Without its registry as well: nothing of it was fetched again.
  registry.isUp = false;
  await askQuiet();
  expect(registry.reads.filter(({ path }) => ofQuiet(path)).length).toBe(before);
}, 600_000);
