import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, digestOfFolder, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { type TestNode, tiny } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
const pod = 'adaptlet-runtime-1';

let fleet: TestFleet;
let roots: string;
let ca: string;
let load: ReturnType<typeof traffic> | undefined;
const away = () => fleet.nodes[1] as TestNode;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
  roots = join(fleet.folder, 'roots');
  await mkdir(roots);
  // What a pod has mounted: this node's own copy.
  ca = join(fleet.folder, 'mounted-ca.crt');
  await cp(await fleet.authority(), ca);
  const here = join(fleet.folder, 'everything');
  await mkdir(here);
  await cp(join(tiny.root, 'adapters/hello'), join(here, 'v4'), { recursive: true });
  await Promise.all([
    fleet.startNode(0, { 'import-roots': `${tiny.root},${here}` }),
    fleet.startNode(1, { 'import-roots': `${tiny.root},${roots}`, 'operator-ca': ca }),
  ]);
  await fleet.apply(await clusterAdapter('v1', 'adapters/upper'));
  await point('v1');
  await waitFor('v1', async () => (await askMoon(away(), 'shout')).text === moon.upper);
});
afterAll(async () => {
  await load?.stop();
  await fleet[Symbol.asyncDispose]();
});

const point = (adapter: string, steps = '{setWeight: 100}') =>
  fleet.apply(rolloutYaml('shout', adapter, steps));
const stableIs = (adapter: string) =>
  waitFor(
    `stable ${adapter}`,
    async () => (await fleet.rollout('shout'))?.stable?.adapter === adapter,
    60_000,
  );
const operatorOf = async () => (await away().client.status()).operator;
const says = (what: RegExp) =>
  waitFor(`the node to say ${what}`, async () => what.test((await operatorOf())?.lastError ?? ''), 60_000);

describe('a node that was away while its rollout went on, the authority was lost and its pod was made anew', () => {
  it('serves what it had all the time', async () => {
    load = traffic(away, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([moon.upper, moon.hello]),
      width: 2,
    });
    fleet.door.set('node-1', 'cut');
    await waitFor('the end of the stream', async () => (await operatorOf())?.state !== 'connected');
    // From here on nothing answers, so that it tries less often than where it is refused.
    fleet.door.set('node-1', 'silent');
    // Stable moves on without it, and a canary comes and is given up.
    await fleet.apply(await clusterAdapter('v2', 'adapters/reverse'));
    await point('v2');
    await stableIs('v2');
    await fleet.apply(await clusterAdapter('v3', 'adapters/digits'));
    await point('v3', '{setWeight: 50}, {pause: {}}');
    await waitFor('the canary', async () => (await fleet.rollout('shout'))?.canary?.adapter === 'v3', 60_000);
    expect(await fleet.plugin('abort', 'shout')).toMatchObject({ code: 0 });
    const v4 = await clusterAdapter('v4', 'adapters/hello');
    expect(v4).toContain(await digestOfFolder('adapters/hello'));
    await fleet.apply(v4.replace('path: adapters/hello', 'path: v4'));
    await point('v4');
    await stableIs('v4');
    // Its token ends with its pod, and the operator comes back with another authority.
    await fleet.cluster.kubectlOk([
      '-n',
      systemNamespace,
      'delete',
      'pod',
      pod,
      '--force',
      '--grace-period=0',
    ]);
    await fleet.operators[0]?.end('SIGKILL');
    for (const kind of ['secret', 'configmap'])
      await fleet.cluster.kubectlOk(['-n', systemNamespace, 'delete', kind, 'adaptlet-ca']);
    await fleet.restartOperator(0);
    expect((await askMoon(away(), 'shout')).text).toBe(moon.upper);
  });

  it('trusts no other authority by itself, and says what it waits for', async () => {
    fleet.door.set('node-1', 'cut');
    fleet.door.set('node-1', 'open');
    await says(/no authority in .*mounted-ca\.crt signed the operator's certificate/);
  });

  it('comes back without a restart once the kubelet has brought the bundle and a token', async () => {
    await cp(await fleet.authority(), ca);
    await says(/UNAUTHENTICATED/);
    await fleet.cluster.createPod({ ...account, name: pod, node: 'node-1' });
    const token = await fleet.cluster.token({ ...account, audience: 'adaptlet', boundPod: pod });
    await writeFile(join(fleet.folder, 'node-1.token'), token);
    await waitFor('the connection', async () => (await operatorOf())?.state === 'connected', 60_000);
  });

  it('serves v1 until v4 is on it, then v4, and never what came between', async () => {
    const rollout = async () =>
      (await away().client.status()).rollouts.find(({ key }) => key.endsWith('/shout'));
    await waitFor(
      'the handover',
      async () => (await rollout())?.message.includes('v1 serves until v4') === true,
    );
    await waitFor('v4 to have failed', async () =>
      (await away().client.status()).adapters.some(
        ({ key, state }) => key.endsWith('/v4') && state === 'Failed',
      ),
    );
    const { text, served } = await askMoon(away(), 'shout');
    expect([text, served.adapter]).toEqual([moon.upper, 'v1']);
    await cp(join(tiny.root, 'adapters/hello'), join(roots, 'v4'), { recursive: true });
    await new Promise<void>((resolve, reject) => {
      away().client.admin.retry({ rollout: `${fleet.namespace}/shout` }, (error: unknown) =>
        error === null ? resolve() : reject(error),
      );
    });
    await waitFor('v4', async () => (await askMoon(away(), 'shout')).text === moon.hello);
    await load?.stop();
    expect({ failures: load?.failures, wrong: load?.wrong }).toEqual({ failures: [], wrong: [] });
    expect([...(load?.adapters.keys() ?? [])].sort()).toEqual(['v1', 'v4']);
  });

  it('comes back from a power cut with its clock in 1970, and follows', async () => {
    const kept = join(away().data, 'state/kept.json');
    await waitFor('the end of the handover on the disk', async () =>
      (await readFile(kept, 'utf8')).includes(String.raw`{\"kept\":[]}`),
    );
    await away().end('SIGKILL');
    await rm(join(roots, 'v4'), { recursive: true });
    await fleet.restartNode(1, {
      NODE_OPTIONS: `--import=${join(import.meta.dirname, '../../support/preload/clock-of-1970.ts')}`,
    });
    expect((await askMoon(away(), 'shout')).text).toBe(moon.hello);
    await waitFor('the connection', async () => (await operatorOf())?.state === 'connected', 60_000);
    expect(away().log.join('\n')).toContain('the clock of this machine is wrong');
    await point('v1');
    await waitFor('v1', async () => (await askMoon(away(), 'shout')).text === moon.upper, 60_000);
  });
});
