import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { earlierRelease, extractEarlierRelease } from '../../support/earlier-release.ts';
import { TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { repositoryRoot } from '../../support/process.ts';
import { traffic } from '../../support/traffic.ts';
import { makeVersions } from '../../support/versions.ts';
import { waitFor } from '../../support/wait.ts';
import { tool } from '../../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../../tools/registry-process.ts';

const registryTool = await tool('registry');

/** Versions of one adapter; each answers unlike the one before and the one after. */
const count = 8;
const texts = [moon.upper, moon.reverse, moon.digits, moon.hello];
const textOf = (version: number): string => texts[version % texts.length] ?? '';

let folder: string;
let earlier: string;
let fleet: TestFleet;
let registry: RegistryProcess;
/** Requests to the runtime that stays on the earlier release: no upgrade of anything else may be felt there. */
let load: ReturnType<typeof traffic>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adaptlet-skew-'));
  const names = Array.from({ length: count }, (_, version) => `v${version}`);
  registry = await startRegistry(registryTool ?? '');
  // Not by path: the earlier release packs folders in another form, with other digests.
  const versions = await makeVersions(folder, names, registry.host);
  earlier = await extractEarlierRelease();
  fleet = await TestFleet.start({ runtimes: 2, tree: earlier });
  await fleet.apply(versions.map(({ yaml }) => yaml).join(''));
  await point(0);
  await serves(0);
  load = traffic(() => fleet.nodes[0] as TestNode, {
    model: 'shout',
    prompt: 'moon:',
    allowed: new Set(texts),
    width: 1,
  });
});
afterAll(async () => {
  await load.stop();
  await fleet[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  for (const each of [folder, earlier]) await rm(each, { recursive: true, force: true });
});

const point = (version: number) =>
  fleet.apply(rolloutYaml('shout', `v${version}`, '{setWeight: 30}, {pause: {}}'));
const users = Array.from({ length: 40 }, (_, i) => `u${i}`);
const answersOf = async (node: TestNode) =>
  Promise.all(users.map(async (user) => (await askMoon(node, 'shout', user)).text));
const serves = (version: number) =>
  waitFor(
    `v${version} on every runtime, for every user`,
    async () => {
      const all = await Promise.all(fleet.nodes.map(answersOf));
      return all.flat().every((text) => text === textOf(version));
    },
    60_000,
  );
/** The canary gets some users, the same ones on every runtime. */
const splits = (stable: number, canary: number) =>
  waitFor(
    `v${canary} beside v${stable}`,
    async () => {
      const [first, second] = await Promise.all(fleet.nodes.map(answersOf));
      const isSplit = [stable, canary].every((version) => first?.includes(textOf(version)));
      return isSplit && JSON.stringify(first) === JSON.stringify(second);
    },
    60_000,
  );
const phase = (wanted: string) =>
  waitFor(`phase ${wanted}`, async () => (await fleet.rollout('shout'))?.phase === wanted, 60_000);
const verb = async (name: 'promote' | 'abort') =>
  expect(await fleet.plugin(name, 'shout')).toMatchObject({ code: 0, stderr: '' });
/** The next version is promoted, the one after it given up. */
const rollOut = async (stable: number) => {
  await point(stable + 1);
  await splits(stable, stable + 1);
  await verb('promote');
  await serves(stable + 1);
  await phase('Healthy');
  await point(stable + 2);
  await splits(stable + 1, stable + 2);
  await verb('abort');
  await serves(stable + 1);
};
const talkYaml = (version: number, more: object = {}): string =>
  JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterRoute',
    metadata: { name: 'talk', namespace: fleet.namespace },
    spec: { model: 'talk', rules: [{ name: 'all', targets: [{ adapter: `v${version}` }], ...more }] },
  });
/** A turn of a session of the route, on a runtime; `token`: of the answer before. */
const turn = async (index: number, token: string) => {
  const response = await fetch(`${fleet.nodes[index]?.http}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-adaptlet-user': 'u1',
      'x-adaptlet-session': 's1',
      ...(token === '' ? {} : { 'x-adaptlet-session-token': token }),
    },
    body: JSON.stringify({ model: 'talk', prompt: 'moon:', temperature: 0 }),
  });
  const { choices } = (await response.json()) as { choices?: readonly { readonly text: string }[] };
  return { text: choices?.[0]?.text ?? '', token: response.headers.get('x-adaptlet-session-token') ?? '' };
};
/** The first runtime answers the route by one text, the second one by another. */
const answers = (...wanted: readonly string[]) =>
  waitFor(
    'both runtimes to have the route',
    async () => {
      const all = await Promise.all([turn(0, ''), turn(1, '')]);
      return JSON.stringify(all.map(({ text }) => text)) === JSON.stringify(wanted);
    },
    60_000,
  );
const replaceNode = async (index: number, tree: string) => {
  expect(await fleet.nodes[index]?.end()).toBe(0);
  const node = await fleet.restartNode(index, {}, tree);
  await waitFor(
    'it to be connected',
    async () => (await node.client.status()).operator?.state === 'connected',
  );
};
const replaceOperator = async (index: number, tree: string) => {
  await fleet.operators[index]?.end();
  await fleet.restartOperator(index, tree);
};

const title = `releases one apart: ${earlierRelease.version} and this one (needs go to build the registry)`;

describe.skipIf(registryTool === undefined)(title, () => {
  it('the CRDs of this one under operators and runtimes of the earlier one', async () => {
    await fleet.upgradeChart(repositoryRoot);
    await rollOut(0);
  });

  it('a runtime of this one, with the data of the earlier one, at operators of the earlier one', async () => {
    await replaceNode(1, repositoryRoot);
    await serves(1);
    // v2 was given up, and stays so.
    await point(3);
    await splits(1, 3);
    await verb('promote');
    await serves(3);
  });

  it('replicas of both, and a canary that goes on while the leader is replaced', async () => {
    await point(4);
    await splits(3, 4);
    await replaceOperator(0, repositoryRoot);
    await splits(3, 4);
    await replaceOperator(1, repositoryRoot);
    await splits(3, 4);
    await verb('promote');
    await serves(4);
    await phase('Healthy');
  });

  it('a runtime of the earlier one at operators of this one', async () => {
    await rollOut(4);
  });

  it('a route that keeps sessions, which the earlier one does not know', async () => {
    await fleet.apply(talkYaml(4));
    await answers(textOf(4), textOf(4));
    await fleet.apply(talkYaml(6, { stickyDecision: {} }));
    // It goes on with the former version, and says so.
    await answers(textOf(4), textOf(6));
    const saysOf = async (index: number) =>
      (await fleet.runtime(index))?.refused?.some((one) => one.resource === `Route ${fleet.namespace}/talk`);
    await waitFor('it to be said', () => saysOf(0), 60_000);
    expect(await saysOf(1)).not.toBe(true);
    const began = await turn(1, '');
    expect(began).toEqual({ text: textOf(6), token: expect.stringMatching(/^v1\./) as string });
    expect(await turn(1, began.token)).toMatchObject({ text: textOf(6) });
    expect(await turn(0, began.token)).toEqual({ text: textOf(4), token: '' });
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'adapterroute', 'talk']);
  });

  it('back: the earlier one on the data, the statuses and the CRDs that this one wrote', async () => {
    await replaceNode(1, earlier);
    await serves(5);
    await replaceOperator(0, earlier);
    await replaceOperator(1, earlier);
    await point(7);
    await splits(5, 7);
    await verb('promote');
    await serves(7);
  });

  it('not one request failed on the runtime that was left alone', async () => {
    await load.stop();
    expect({ failures: load.failures, wrong: load.wrong }).toEqual({ failures: [], wrong: [] });
    expect(load.answered()).toBeGreaterThan(0);
  });
});
