import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import type { RuntimeObjectStatus } from '../../../src/api/runtime.ts';
import type { About } from '../../../src/dashboard/views.ts';
import { toolPath } from '../../cluster/index.ts';
import { labObstacles } from '../../cluster/lab/index.ts';
import { grpcurlClient } from '../../integration/clients/grpcurl.ts';
import { openaiClient } from '../../integration/clients/openai.ts';
import type { Target } from '../../integration/clients/target.ts';
import { NodeClient } from '../../support/client.ts';
import { moon } from '../../support/moon.ts';
import { openDashboard } from '../../support/open-dashboard.ts';
import { waitFor } from '../../support/wait.ts';
import { tool } from '../../tools/build.ts';
import { type AdapterName, adapterNames, Site, systemNamespace } from './site.ts';

const grpcurl = await tool('grpcurl');
const obstacles = [...labObstacles(), ...(grpcurl === undefined ? ['no go to build grpcurl with'] : [])];
const nodes = [1, 2, 3] as const;
const users = Array.from({ length: 60 }, (_, i) => `u${i}`);

let site: Site;
let targets: Target[];
let clients: NodeClient[];

/** Waits for a person at 40 %. */
const steps = '{setWeight: 40}, {pause: {}}';
const paused = (adapter: AdapterName) =>
  waitFor(
    `${adapter} to wait for a person`,
    async () => {
      const status = await site.rollout('shout');
      return status?.phase === 'Paused' && status.canary?.adapter === adapter;
    },
    60_000,
  );

/** Who answers these users of `shout` on a node; each answer is that of its adapter. */
const arms = async (client: NodeClient): Promise<string[]> => {
  const answers: string[] = [];
  for (const user of users) {
    const { served, text } = await client.ask({ model: 'shout', prompt: 'moon:', user });
    expect(text).toBe(moon[served.adapter as AdapterName]);
    answers.push(served.adapter);
  }
  return answers;
};
const onlyFrom = (adapter: AdapterName) =>
  waitFor(
    `${adapter} on each node`,
    async () => (await Promise.all(clients.map(arms))).flat().every((one) => one === adapter),
    60_000,
  );
const plugin = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await site.plugin(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};

/** A turn of the session of a user, of the route `talk`; `token`: that of an answer before. */
const turn = async (user: string, { httpUrl }: Pick<Target, 'httpUrl'>, token = '') => {
  const { status, headers } = await fetch(`${httpUrl}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-adaptlet-user': user,
      'x-adaptlet-session': 'talk',
      ...(token === '' ? {} : { 'x-adaptlet-session-token': token }),
    },
    body: JSON.stringify({ model: 'talk', prompt: 'moon:', max_tokens: 1 }),
  });
  const said = (name: string): string => headers.get(`x-adaptlet-${name}`) ?? '';
  return { status, adapter: said('adapter'), token: said('session-token') };
};

describe.skipIf(obstacles.length > 0)(`an install by helm on three nodes${obstacles.join('; ')}`, () => {
  beforeAll(async () => {
    site = await Site.start(nodes.length, 'default');
    const enforce = 'pod-security.kubernetes.io/enforce=restricted';
    await site.lab.kubectlOk(['label', 'namespace', systemNamespace, enforce]);
    // Nothing of the node is mounted: PodSecurity has no exception to make.
    await site.helm('install', { runtime: { data: { type: 'emptyDir' } } });
    targets = await Promise.all(
      nodes.map(async (index) => ({
        grpcAddress: await site.service(site.lab.node(index), 'grpc'),
        httpUrl: `http://${await site.service(site.lab.node(index), 'http')}`,
        version: packageJson.version,
        models: { base: 'tiny', adapter: 'upper', rollout: 'shout' },
        sample: { prompt: 'moon:', maxTokens: 16, base: 'moon moon.', adapter: 'MOON!' },
      })),
    );
    clients = targets.map(({ grpcAddress }) => new NodeClient(grpcAddress, grpcAddress));
    await site.apply(adapterNames.map((name) => site.adapter(name)).join(''));
    await site.point('upper', steps);
    await site.healthy('shout', 'upper');
    await onlyFrom('upper');
  });
  afterAll(async () => {
    for (const client of clients ?? []) client.close();
    await site?.[Symbol.asyncDispose]();
  });

  it('has a runtime on each node, with the model of the registry', async () => {
    for (const { name } of site.lab.nodes) {
      const runtime = await site.lab.get<{ status: RuntimeObjectStatus }>('adr', name, systemNamespace);
      expect(runtime?.status).toMatchObject({
        node: name,
        baseModel: { name: 'tiny', manifestDigest: site.modelDigest },
      });
    }
  });

  describe.each(nodes)('answers, on node %i through the Service,', (index) => {
    openaiClient(() => targets[index - 1] as Target);
    grpcurlClient(() => targets[index - 1] as Target, grpcurl ?? '');
  });

  it('keeps sessions with the version that answered them first, on each node, by their tokens', async () => {
    const rules = '[{name: all, targets: [{rollout: shout}], stickyDecision: {}}]';
    await site.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRoute\nmetadata: {name: talk}\nspec: {model: talk, rules: ${rules}}\n`,
    );
    const isRouted = async (target: Target) => (await turn('u0', target)).status === 200;
    await waitFor('the route on each node', async () =>
      (await Promise.all(targets.map(isRouted))).every(Boolean),
    );
    const [first, ...others] = targets as [Target, ...Target[]];
    const began = await Promise.all(users.map((user) => turn(user, first)));
    expect(new Set(began.map(({ adapter }) => adapter))).toEqual(new Set(['upper']));
    await site.point('reverse', steps);
    await paused('reverse');
    for (const target of others) {
      const went = await Promise.all(users.map((user, index) => turn(user, target, began[index]?.token)));
      expect(new Set(went.map(({ adapter }) => adapter))).toEqual(new Set(['upper']));
    }
    const fresh = await Promise.all(users.map((user) => turn(`${user}-new`, first)));
    expect(new Set(fresh.map(({ adapter }) => adapter))).toEqual(new Set(['upper', 'reverse']));
  });

  it('gives a canary its share on each node, and all of it once it is promoted', async () => {
    await site.point('reverse', steps);
    await paused('reverse');
    for (const client of clients) expect(new Set(await arms(client))).toEqual(new Set(['upper', 'reverse']));
    // A user is on the same side everywhere.
    const [first, ...others] = await Promise.all(clients.map(arms));
    for (const other of others) expect(other).toEqual(first);
    await plugin('promote', 'shout');
    await site.healthy('shout', 'reverse');
    await onlyFrom('reverse');
  });

  it('goes back on each node when a canary is aborted, and to a former version when it is applied again', async () => {
    await site.point('digits', steps);
    await paused('digits');
    await plugin('abort', 'shout');
    await onlyFrom('reverse');
    await site.point('upper', steps);
    await onlyFrom('upper');
  });

  it('has nothing that doctor complains of', async () => {
    const findings = await plugin('doctor', '-n', systemNamespace);
    expect(findings.split('\n').filter((line) => !line.startsWith('✔'))).toEqual([
      '',
      'nothing is wrong',
      '',
    ]);
  });

  it('shows its dashboard by a port that kubectl forwards to the pod that leads', async () => {
    const folder = dirname(await toolPath('kubectl'));
    await using open = await openDashboard(folder, '--kubeconfig', site.lab.kubeconfig);
    expect(await (await fetch(open.url)).text()).toContain('<title>');
    const about = (await (await fetch(`${open.url}api/about`)).json()) as About;
    const operators = (await site.podsOf('operator')).map(({ metadata }) => metadata.name);
    expect(operators).toContain(about.shownBy.replace(/_[^_]*$/, ''));
    const { total } = (await (await fetch(`${open.url}api/runtimes`)).json()) as { readonly total: number };
    expect(total).toBe(nodes.length);
  });

  it('goes without a trace that blocks: the Job releases the Adapters, and namespaces can be deleted', async () => {
    const { code, stderr } = await site.lab.helm('uninstall', 'adaptlet', '-n', systemNamespace, '--wait');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    await site.lab.kubectlOk(['delete', 'adapters', '--all', '--timeout=30s']);
    await site.lab.kubectlOk(['delete', 'namespace', systemNamespace, '--timeout=60s']);
    await site.lab.kubectlOk(['delete', 'crd', '-l', 'app.kubernetes.io/name=adaptlet', '--timeout=30s']);
  });
});
