/**
 * The main job in a cluster: a real API server, two replicas of the operator and three runtimes as processes, steered
 * with kubectl. `--keep` leaves all of it running and prints commands to try. Exits with 1 when anything is not as it
 * says.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toolPath } from '../cluster/index.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../support/moon.ts';
import type { TestNode } from '../support/node.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';
import { Findings, ms, say, title } from './findings.ts';

const adapters = ['upper', 'reverse', 'digits', 'hello'] as const;
const findings = new Findings();
const check = findings.check.bind(findings);

title('Starting an API server, two replicas of the operator and three runtimes on the tiny model');
await using fleet = await TestFleet.start({ say });
const nodes = fleet.nodes as readonly TestNode[];

const step = '{setWeight: 20}, {pause: {}}';
const select = async (adapter: string, steps = step): Promise<void> => {
  say(`kubectl apply: rollout shout, spec.adapter: ${adapter}`);
  await fleet.apply(rolloutYaml('shout', adapter, steps));
};
const weightsOf = () =>
  Promise.all(
    nodes.map(async (node) => {
      const { rollouts } = await node.client.status();
      return rollouts.find((r) => r.key.endsWith('/shout'))?.effectiveWeight;
    }),
  );
const everywhere = (weight: number) =>
  waitFor(`weight ${weight}`, async () => (await weightsOf()).every((w) => w === weight));
const phase = (wanted: string) =>
  waitFor(`phase ${wanted}`, async () => {
    const status = await fleet.rollout('shout');
    return status?.phase === wanted && status;
  });

const preload = async (): Promise<void> => {
  title('1. Four adapters, applied once, resident on three nodes');
  const memory = '  preload: {tier: Memory}\n';
  for (const name of adapters) await fleet.apply(await clusterAdapter(name, `adapters/${name}`, memory));
  await waitFor('all of them everywhere', async () => {
    const all = await Promise.all(
      adapters.map((name) => fleet.get<{ status?: { runtimes: { resident: number } } }>('ad', name)),
    );
    return all.every((adapter) => adapter?.status?.runtimes.resident === 3);
  });
  say(
    (await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'get', 'ad'])).trimEnd().replaceAll('\n', '\n  '),
  );
  for (const name of adapters) {
    const texts = await Promise.all(nodes.map(async (node) => (await askMoon(node, name)).text));
    check(
      name,
      `"moon:" -> "${texts[0]}" on ${texts.length} nodes`,
      texts.every((text) => text === moon[name]),
    );
  }
};

const canary = async (): Promise<void> => {
  title('2. A canary at 20 % of the users, the same ones on every node');
  await select('upper');
  await phase('Healthy');
  const pressed = performance.now();
  await select('reverse');
  await everywhere(20);
  say(`effective on all nodes ${ms(performance.now() - pressed)} after kubectl was started`);
  const users = Array.from({ length: 200 }, (_, i) => `user-${i}`);
  const arms = await Promise.all(
    nodes.map(async (node) => {
      const found: string[] = [];
      for (const user of users) found.push((await askMoon(node, 'shout', user)).served.arm);
      return found;
    }),
  );
  const share = ((arms[0] ?? []).filter((arm) => arm === 'canary').length / users.length) * 100;
  check('share of 200 users', `${share.toFixed(1)} %`, Math.abs(share - 20) < 10);
  check(
    'the same users on every node',
    'yes',
    arms.every((found) => found.join() === arms[0]?.join()),
  );
  await waitFor(
    'the observed share',
    async () => (await fleet.rollout('shout'))?.weights.observedCanary !== undefined,
  );
  const { stdout } = await fleet.plugin('get', 'rollout', 'shout');
  say(`kubectl adaptlet get rollout shout\n  ${stdout.trimEnd().replaceAll('\n', '\n  ')}`);
};

const promoteAndUndo = async (): Promise<void> => {
  title('3. Promote, then undo');
  say((await fleet.plugin('promote', 'shout')).stdout.trim());
  await phase('Healthy');
  const after = (await fleet.rollout('shout'))?.stable?.adapter;
  check('stable after promote', `${after}`, after === 'reverse');
  say((await fleet.plugin('undo', 'shout')).stdout.trim());
  await waitFor('stable is upper', async () => (await fleet.rollout('shout'))?.stable?.adapter === 'upper');
  for (const node of nodes)
    await waitFor('upper', async () => (await askMoon(node, 'shout')).text === moon.upper);
  check('stable after undo', 'upper, on every node', true);
};

const broken = async (): Promise<void> => {
  title('4. A broken adapter is refused everywhere, stable goes on');
  await fleet.apply(await clusterAdapter('broken', 'variants/broken-nan'));
  await select('broken');
  const { message } = await phase('Degraded');
  say(message);
  const texts = await Promise.all(nodes.map(async (node) => (await askMoon(node, 'shout')).text));
  check(
    'the rollout answers with',
    [...new Set(texts)].join(),
    texts.every((text) => text === moon.upper),
  );
  await select('upper');
  await phase('Healthy');
};

const withoutControl = async (): Promise<void> => {
  title('5. Under traffic: the leader is killed, then the API server; a change after that is in force');
  const allowed = new Set<string>([moon.upper, moon.hello]);
  await using lanes = new AsyncDisposableStack();
  const load = nodes.map((node) =>
    lanes.use(traffic(() => node, { model: 'shout', prompt: 'moon:', allowed, width: 1 })),
  );
  const leader = await fleet.leader();
  await leader.end('SIGKILL');
  say(`killed ${leader.identity}`);
  await fleet.cluster.stopApiServer('SIGKILL');
  say('killed the API server');
  const before = load.map((lane) => lane.answered());
  await waitFor('answers without both', () =>
    load.every((lane, i) => lane.answered() > (before[i] ?? 0) + 50),
  );
  await fleet.cluster.startApiServer();
  await select('hello', '{setWeight: 100}');
  for (const node of nodes)
    await waitFor('hello', async () => (await askMoon(node, 'shout')).text === moon.hello, 60_000);
  await lanes.disposeAsync();
  const asked = load.reduce((sum, lane) => sum + lane.answered(), 0);
  const failed = load.reduce((sum, lane) => sum + lane.failures.length + lane.wrong.length, 0);
  check('requests meanwhile', `${asked}, ${failed} failed`, failed === 0);
};

const keep = async (): Promise<void> => {
  title('Everything is still running; Ctrl-C ends it');
  const kubectl = await toolPath('kubectl');
  const environment = join(fleet.folder, 'env');
  await writeFile(
    environment,
    `export KUBECONFIG=${fleet.cluster.kubeconfig}\nalias k='${kubectl} -n ${fleet.namespace}'\n`,
  );
  say(`. ${environment}`);
  say('k get ad,aro,art; k explain adapterrollout.spec');
  say(`bin/kubectl-adaptlet get rollout shout -n ${fleet.namespace} -w`);
  say(`bin/kubectl-adaptlet list runtimes -n ${systemNamespace}`);
  for (const node of nodes) say(`bin/adaptlet generate --server ${node.grpc} --model shout "moon:"`);
  await new Promise((resolve) => process.once('SIGINT', resolve));
};

for (const part of [preload, canary, promoteAndUndo, broken, withoutControl])
  await part().catch((error: unknown) => {
    // Now, not when all has ended: that takes its time, and may hang.
    say(`failed: ${String(error)}`);
    throw error;
  });
process.exitCode = findings.summary() ? 0 : 1;
if (process.argv.includes('--keep')) await keep();
