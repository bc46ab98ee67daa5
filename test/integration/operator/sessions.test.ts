import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errnoOf } from '../../../src/errors/errno.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';

let fleet: TestFleet;

const routeYaml = (namespace: string): string =>
  JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterRoute',
    metadata: { name: 'talk', namespace },
    spec: {
      model: 'talk',
      rules: [{ name: 'all', targets: [{ rollout: 'shout' }], stickyDecision: { idleTimeout: '1h' } }],
    },
  });
const steps = '{setWeight: 50}, {pause: {}}';

beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
  for (const name of ['upper', 'reverse']) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await fleet.apply(rolloutYaml('shout', 'upper', steps));
  await fleet.apply(routeYaml(fleet.namespace));
  await waitFor('stable', async () => (await fleet.rollout('shout'))?.phase === 'Healthy', 60_000);
  const isRouted = (node: TestNode) =>
    turn(node, 'nobody').then(
      () => true,
      () => false,
    );
  await waitFor('the route', async () => (await Promise.all(fleet.nodes.map(isRouted))).every(Boolean));
});
afterAll(() => fleet[Symbol.asyncDispose]());

type Turn = { readonly arm: string; readonly digest: string; readonly token: string };

const turn = async (node: TestNode | undefined, user: string, token = ''): Promise<Turn> => {
  const response = await fetch(`${node?.http}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-adaptlet-user': user,
      'x-adaptlet-session': `session of ${user}`,
      ...(token === '' ? {} : { 'x-adaptlet-session-token': token }),
    },
    body: JSON.stringify({ model: 'talk', prompt: 'moon:', max_tokens: 2, temperature: 0 }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  const header = (name: string): string => response.headers.get(`x-adaptlet-${name}`) ?? '';
  return { arm: header('arm'), digest: header('digest'), token: header('session-token') };
};
const weight = (canary: number) =>
  waitFor(`weight ${canary} on every runtime`, async () => {
    const applied = await Promise.all(
      fleet.nodes.map(async (node) => {
        const { rollouts } = await node.client.status();
        return rollouts.find((r) => r.key.endsWith('/shout'))?.effectiveWeight;
      }),
    );
    return applied.every((one) => one === canary);
  });

/** What is just being written has another name when it is looked at. */
const textOf = (path: string): Promise<string> =>
  readFile(path, 'latin1').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  });

describe('the session of a user', () => {
  const users = Array.from({ length: 20 }, (_, index) => `u${index}`);
  const began = new Map<string, Turn>();

  it('that began before a canary goes on with stable on every node, and over their restart', async () => {
    for (const user of users) began.set(user, await turn(fleet.nodes[0], user));
    expect(new Set([...began.values()].map(({ arm }) => arm))).toEqual(new Set(['stable']));
    await fleet.apply(rolloutYaml('shout', 'reverse', steps));
    await weight(50);
    await fleet.nodes[1]?.end();
    await fleet.restartNode(1);
    await weight(50);
    for (const user of users) {
      const before = began.get(user);
      for (const node of fleet.nodes)
        expect((await turn(node, user, before?.token)).digest).toBe(before?.digest);
    }
  });

  it('that begins with the canary goes on with it elsewhere', async () => {
    const fresh = Array.from({ length: 20 }, (_, index) => `fresh-${index}`);
    const firsts = await Promise.all(fresh.map((user) => turn(fleet.nodes[0], user)));
    expect(new Set(firsts.map(({ arm }) => arm))).toEqual(new Set(['stable', 'canary']));
    for (const [index, user] of fresh.entries()) {
      const again = await turn(fleet.nodes[1], user, firsts[index]?.token);
      expect(again.digest).toBe(firsts[index]?.digest);
    }
  });

  it('leaves the canary when that is aborted, whatever its token says', async () => {
    const fresh = Array.from({ length: 20 }, (_, index) => `aborted-${index}`);
    const firsts = await Promise.all(fresh.map((user) => turn(fleet.nodes[0], user)));
    expect(firsts.some(({ arm }) => arm === 'canary')).toBe(true);
    await fleet.plugin('abort', 'shout');
    await weight(0);
    for (const [index, user] of fresh.entries())
      for (const node of fleet.nodes)
        expect((await turn(node, user, firsts[index]?.token)).arm).toBe('stable');
  });
});

describe('what tokens are made of', () => {
  it('is a Secret of the operator alone; nodes have keys of their routes, and no object and no log has either', async () => {
    const args = ['-n', systemNamespace, 'get', 'secret', 'adaptlet-sessions', '-o=jsonpath={.data.secret}'];
    const secret = Buffer.from(await fleet.cluster.kubectlOk(args), 'base64').toString();
    expect(secret).toMatch(/^[\w-]{43}$/);
    const keys = new Set<string>();
    const disks: string[] = [];
    for (const { data } of fleet.nodes)
      for (const entry of await readdir(data, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) disks.push(await textOf(join(entry.parentPath, entry.name)));
    for (const text of disks)
      for (const [, key = ''] of text.matchAll(/sessionKey\\*":\\*"([\w-]{43})/g)) keys.add(key);
    expect(keys.size).toBe(1);
    const seen = [...fleet.operators, ...fleet.nodes].map(({ log }) => log.join('\n'));
    for (const kind of ['art', 'adr', 'events'])
      seen.push(await fleet.cluster.kubectlOk(['get', kind, '-A', '-o', 'json']));
    for (const { client } of fleet.nodes) seen.push(inspect(await client.status(), { depth: null }));
    for (const key of keys) expect(seen.filter((text) => text.includes(key))).toEqual([]);
    expect([...seen, ...disks].filter((text) => text.includes(secret))).toEqual([]);
  });
});
