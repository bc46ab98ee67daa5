import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errnoOf } from '../../../src/errors/errno.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { chart, helm } from '../manifests/helm.ts';

const newKey = (): string => `adk_${randomBytes(32).toString('base64url')}`;
const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

let fleet: TestFleet;
let theirs: string;
/** Every key that was ever in a Secret of these tests. */
const known: string[] = [];

const policyYaml = (spec: object): string =>
  JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterPolicy',
    metadata: { name: 'default' },
    spec,
  });
const allow = (more: object = {}) => ({
  clients: { keysFromSecrets: 'Allow', rightsFromSecrets: ['Users'] },
  runtimes: more,
});

beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 0, runtimes: 0 });
  theirs = await fleet.cluster.createNamespace('theirs');
  // One namespace is open to the operator, with the rights of the chart.
  const args = ['upgrade', 'adaptlet', chart, '-n', systemNamespace];
  const set = ['--set', `credentials.namespaces={${fleet.namespace}}`];
  const { code, stderr } = await helm([...args, ...set], fleet.cluster.kubeconfig);
  if (code !== 0) throw new Error(stderr);
  const settings = { 'credential-namespaces': fleet.namespace };
  await Promise.all([fleet.startOperator(0, settings), fleet.startOperator(1, settings)]);
  for (const namespace of [fleet.namespace, theirs]) {
    const role = ['create', 'rolebinding', 'editor', '--clusterrole=edit', '--user=editor'];
    await fleet.cluster.kubectlOk(['-n', namespace, ...role]);
    await fleet.cluster.kubectlOk(['-n', namespace, 'apply', '-f', '-'], policyYaml(allow()));
  }
  await fleet.apply(await clusterAdapter('upper', 'adapters/upper', '  preload: {tier: Memory}\n'));
  await Promise.all([
    fleet.startNode(0, { labels: 'pool=edge' }),
    fleet.startNode(1, { labels: 'pool=core' }),
  ]);
});
afterAll(() => fleet[Symbol.asyncDispose]());

/** What somebody does who may edit the namespace, and nothing else. */
const asEditor = (args: readonly string[], stdin?: string, namespace = fleet.namespace): Promise<string> =>
  fleet.cluster.kubectlOk(['-n', namespace, '--as=editor', ...args], stdin);
const secretYaml = (name: string, stringData: Record<string, string>, annotations = {}): string => {
  known.push(...Object.values(stringData).filter((value) => value.startsWith('adk_')));
  const labels = { 'adaptlet.io/api-keys': 'true' };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, labels, annotations },
    stringData,
  });
};
const put = (name: string, data: Record<string, string>, annotations = {}) =>
  asEditor(['apply', '-f', '-'], secretYaml(name, data, annotations));

const ask = async (key: string, node = 0, model = 'upper'): Promise<number> => {
  const response = await fetch(`${fleet.nodes[node]?.http}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: 'moon:', max_tokens: 4 }),
  });
  await response.text();
  return response.status;
};
const answers = (what: string, key: string, status: number, node = 0) =>
  waitFor(`${what} to be answered with ${status}`, async () => (await ask(key, node)) === status);
const notesOn = async (name: string): Promise<string> =>
  fleet.cluster.kubectlOk([
    '-n',
    fleet.namespace,
    'get',
    'events',
    `--field-selector=involvedObject.name=${name}`,
    '-o=jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}',
  ]);

describe('a key in a Secret that an editor of the namespace makes', () => {
  const [first, second, digested] = [newKey(), newKey(), newKey()];

  it('lets its callers in, on every node', async () => {
    await put('app', { key: first });
    for (const node of [0, 1]) await answers('the key', first, 200, node);
    expect(await ask(newKey())).toBe(401);
  });

  it('may be followed by the next one, beside which it goes on', async () => {
    await put('app', { key: first, 'next-key': second });
    await answers('the next key', second, 200);
    expect(await ask(first)).toBe(200);
    await asEditor(['delete', 'secret', 'app']);
    await put('app', { key: second });
    await answers('the former key', first, 401);
    await answers('the present key', second, 200);
  });

  it('may be there as its digest', async () => {
    await put('digested', { sha256: sha256(digested) });
    await answers('the key', digested, 200);
  });

  it('harms no other by being wrong, and says what is wrong', async () => {
    await put('short', { key: 'adk_short' });
    await put('greedy', { key: newKey() }, { 'adaptlet.io/rights': 'Users,Priority' });
    await waitFor('both events', async () => {
      const [short, greedy] = [await notesOn('short'), await notesOn('greedy')];
      return short.includes('KeysNotTaken: key must be 32 to 512') && greedy.includes('without Priority');
    });
    expect(await ask(second)).toBe(200);
  });

  it('is refused a few seconds after its Secret is gone', async () => {
    await asEditor(['delete', 'secret', 'app']);
    const started = performance.now();
    await answers('the key', second, 401);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(await ask(digested)).toBe(200);
  });

  it('is no good in a namespace that the administrator did not open', async () => {
    const key = newKey();
    await asEditor(['apply', '-f', '-'], secretYaml('app', { key }), theirs);
    await waitFor('the event on the policy', async () => {
      const events = await fleet.cluster.kubectlOk(['-n', theirs, 'get', 'events', '-o', 'json']);
      return events.includes('SecretsNotRead');
    });
    expect(await ask(key)).toBe(401);
  });

  it('is of no use once the policy does not allow it, and an editor cannot change that', async () => {
    await fleet.apply(policyYaml({}));
    await answers('the key', digested, 401);
    const patch = ['patch', 'apol', 'default', '--type=merge', '-p', JSON.stringify({ spec: allow() })];
    await expect(asEditor(patch)).rejects.toThrow(/forbidden/i);
    await fleet.apply(policyYaml(allow()));
    await answers('the key', digested, 200);
  });

  /** What is just being written has another name when it is looked at. */
  const textOf = (path: string): Promise<string> =>
    readFile(path, 'latin1').catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return '';
      throw error;
    });

  it('is nowhere but in its Secret: not on the disk of a node, not in a log, not in an object', async () => {
    const texts = [...fleet.operators, ...fleet.nodes].map(({ log }) => log.join('\n'));
    for (const { data } of fleet.nodes)
      for (const entry of await readdir(data, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) texts.push(await textOf(join(entry.parentPath, entry.name)));
    for (const kind of ['apol', 'adr', 'events'])
      texts.push(await fleet.cluster.kubectlOk(['get', kind, '-A', '-o', 'json']));
    // The node has what it compares with.
    expect(texts.some((text) => text.includes(sha256(digested)))).toBe(true);
    for (const key of known) expect(texts.filter((text) => text.includes(key))).toEqual([]);
  });
});

describe('the nodes that a policy leaves a namespace', () => {
  const key = newKey();
  it('alone let its callers in and have its adapters', async () => {
    await put('app', { key });
    for (const node of [0, 1]) await answers('the key', key, 200, node);
    await fleet.apply(policyYaml(allow({ nodes: { matchLabels: { pool: 'edge' } } })));
    await answers('the key on the other node', key, 401, 1);
    expect(await ask(key)).toBe(200);
    await waitFor('the adapter to leave', async () => {
      const { adapters } = (await fleet.nodes[1]?.client.status()) ?? { adapters: [] };
      return adapters.length === 0;
    });
    type Adapter = { readonly status?: { readonly runtimes?: { readonly desired: number } } };
    await waitFor('one runtime', async () => {
      const adapter = await fleet.get<Adapter>('ad', 'upper');
      return adapter?.status?.runtimes?.desired === 1;
    });
  });
});
