import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labObstacles, nodeClock } from '../../cluster/lab/index.ts';
import { moon } from '../../support/moon.ts';
import { tiny } from '../../support/node.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { ledToAgain } from './led-to.ts';
import { expectShortGap, expectUnharmed, Requests } from './requests.ts';
import { patience, Site, systemNamespace } from './site.ts';

const obstacles = labObstacles();
const nodes = [1, 2, 3] as const;
type Index = (typeof nodes)[number];

const temporary = mkdtempSync(join(tmpdir(), 'adaptlet-faults-'));
let site: Site;

/** Node 3 can have another clock than the others. */
const profiles = [
  {
    name: 'drifting',
    nodeSelector: { 'kubernetes.io/hostname': 'node-3' },
    extraEnv: nodeClock.env,
    extraVolumes: nodeClock.volumes,
    extraVolumeMounts: nodeClock.volumeMounts,
  },
  {
    name: 'edge',
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: ['node-3'] }] },
          ],
        },
      },
    },
  },
];
/** The second runtime of a node may connect, too. */
const operator = { runtimeAccounts: [`${systemNamespace}/adaptlet-runtime-second`] };
const resources = { cpu: '1', memory: '1Gi' };
const runtime = {
  profiles,
  // Of the class Guaranteed: no init container without limits of its own, and as much requested as allowed.
  resources: { requests: resources, limits: resources },
  data: { own: false },
};

const connected = (index: Index, is: 'True' | 'False') =>
  waitFor(
    `Connected=${is} of node ${index}`,
    async () => (await site.condition(index, 'Connected')) === is,
    patience,
  );

const leader = async (): Promise<string> => {
  type Lease = { readonly spec: { readonly holderIdentity?: string } };
  const lease = await site.lab.get<Lease>('lease', 'adaptlet-operator', systemNamespace);
  return lease?.spec.holderIdentity ?? '';
};

describe.skipIf(obstacles.length > 0)(`three nodes under requests${obstacles.join('; ')}`, () => {
  beforeAll(async () => {
    site = await Site.start(nodes.length, 'team-a');
    for (const node of site.lab.nodes)
      await node.runOk(['install', '-d', '-o', '65532', '-g', '65532', '/var/lib/adaptlet']);
    await site.helm('install', { operator, runtime });
    // A node that connects later than the others has no models until then, and no rollout waits for it.
    for (const index of nodes)
      await waitFor(
        `node ${index} to connect`,
        async () => (await site.condition(index, 'Connected')) === 'True',
        patience,
      );
    await site.apply((['upper', 'reverse', 'digits'] as const).map((name) => site.adapter(name)).join(''));
    await site.decide('upper');
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    rmSync(temporary, { recursive: true, force: true });
  });

  it('run a second base model on a node beside the first, from a folder of the node', async () => {
    await using requests = await Requests.start(site, nodes);
    const node = site.lab.node(1);
    const folder = '/var/lib/adaptlet-models/tiny-2';
    const archive = join(temporary, 'model.tar');
    const beside = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    const files = ['-C', tiny.model, '.', '-C', join(tiny.model, '..'), ...beside];
    expect(await runProgram('tar', ['-cf', archive, ...files])).toMatchObject({ code: 0 });
    await node.runOk(['sh', '-c', `mkdir -p ${folder} && tar -xC ${folder}`], archive);
    const second = {
      name: 'adaptlet-runtime-second',
      suffix: 'second',
      nodeSelector: { 'kubernetes.io/hostname': node.name },
      model: { name: 'tiny-2', source: { oci: { image: '', digest: '' } } },
    };
    await site.helm(
      'install',
      { operator: { enabled: false }, crds: { install: false }, runtime: second },
      { release: 'second' },
    );
    await waitFor(
      'both runtimes of the node',
      async () => (await site.condition(1, 'Connected', `${node.name}.model-second`)) === 'True',
      patience,
    );
    const host = await site.service(node, 'http', 'adaptlet-runtime-second');
    const answer = await waitFor(
      'an answer of the second model',
      async () => {
        const response = await fetch(`http://${host}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'tiny-2', prompt: 'moon:', temperature: 0 }),
        });
        return response.ok && response;
      },
      patience,
    );
    expect(await answer.json()).toMatchObject({ choices: [{ text: moon.base }] });
    expect(await site.lab.helm('uninstall', 'second', '-n', systemNamespace, '--wait')).toMatchObject({
      code: 0,
    });
    expectUnharmed(requests, nodes);
  });

  it('lose no request while the operator is updated', async () => {
    await using requests = await Requests.start(site, nodes);
    await site.lab.kubectlOk(['-n', systemNamespace, 'rollout', 'restart', 'deployment/adaptlet-operator']);
    await site.rolledOut('deployment/adaptlet-operator');
    await site.decide('reverse');
    await requests.answered(20);
    expectUnharmed(requests, nodes);
  });

  it('lose no request when the leader is killed, and another replica leads', async () => {
    await using requests = await Requests.start(site, nodes);
    const former = await leader();
    await site.killContainer('operator', former.split('_')[0] ?? '');
    await site.decide('digits');
    expect(await leader()).not.toBe(former);
    await requests.answered(20);
    expectUnharmed(requests, nodes);
  });

  it('lose no request when the API server is killed and comes back', async () => {
    await using requests = await Requests.start(site, nodes);
    await site.lab.stopApiServer('SIGKILL');
    await requests.answered(40);
    await site.lab.startApiServer();
    await site.decide('upper');
    await requests.answered(20);
    expectUnharmed(requests, nodes);
  });

  it('serve on where the link is cut, take a rollback by hand there, and come together again', async () => {
    await using requests = await Requests.start(site, nodes);
    await site.point('reverse', '{setWeight: 40}, {pause: {}}');
    await waitFor('a canary on each node', () =>
      nodes.every((index) => requests.of(index).adapters.has('reverse')),
    );
    await site.lab.node(2).link('down');
    await connected(2, 'False');
    await requests.answered(40, [2]);
    const { code, stdout } = await site.inRuntime(site.lab.node(2), 'adaptlet', 'rollback', 'team-a/shout');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining('rolled back by hand on this node') as string,
    });
    requests.of(2).adapters.clear();
    await requests.answered(80, [2]);
    expect([...requests.of(2).adapters]).toEqual(['upper']);
    // Others do not know of it, and are led on.
    await site.decide('digits');
    await site.lab.node(2).link('up');
    await connected(2, 'True');
    await requests.onlyFrom('digits', [2]);
    expectUnharmed(requests, nodes);
    await ledToAgain(site, 2);
  });

  it('lose no request elsewhere when a node loses its power, which serves again after its boot', async () => {
    await using requests = await Requests.start(site, [1, 2]);
    const node = site.lab.node(3);
    await node.kill();
    await connected(3, 'False');
    await site.decide('reverse');
    await node.boot();
    await connected(3, 'True');
    await using back = await Requests.start(site, [3]);
    await waitFor('the newest on node 3', () => back.of(3).adapters.has('reverse'), patience);
    expectUnharmed(requests, [1, 2]);
    expectUnharmed(back, [3]);
  });

  it('need no registry for what they have, not even for a new pod', async () => {
    await using requests = await Requests.start(site, nodes);
    site.lab.registry.pause();
    try {
      const { metadata } = await site.runtimePod(1);
      await site.lab.kubectlOk(['-n', systemNamespace, 'delete', 'pod', metadata.name]);
      await site.apply(site.adapter('hello'));
      await waitFor(
        'the new pod',
        async () => (await site.runtimePod(1)).metadata.uid !== metadata.uid,
        patience,
      );
      await requests.answered(40);
      expect(await site.digestOf('hello')).toBeUndefined();
    } finally {
      site.lab.registry.resume();
    }
    await site.decide('hello');
    await requests.onlyFrom('hello');
    expectUnharmed(requests, [2, 3]);
    expectShortGap(requests, 1);
  });

  it('lose no request on a node that is drained', async () => {
    await using requests = await Requests.start(site, nodes);
    const { name } = site.lab.node(2);
    const pod = await site.runtimePod(2);
    await site.lab.kubectlOk([
      'drain',
      name,
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--timeout=120s',
    ]);
    expect((await site.runtimePod(2)).metadata.uid).toBe(pod.metadata.uid);
    await waitFor(
      'the node to be cordoned',
      async () => (await site.condition(2, 'Cordoned')) === 'True',
      patience,
    );
    await site.rolledOut('deployment/adaptlet-operator');
    expect((await site.podsOf('operator')).map(({ spec }) => spec.nodeName)).not.toContain(name);
    await site.lab.kubectlOk(['uncordon', name]);
    await site.decide('upper');
    await requests.answered(20);
    expectUnharmed(requests, nodes);
  });

  it('get a new engine when the kernel kills one that takes too much memory', async () => {
    await using requests = await Requests.start(site, nodes);
    const node = site.lab.node(1);
    const former = await site.enginePid(node);
    await site.exhaustMemory(node);
    await waitFor('another engine', async () => (await site.enginePid(node)) !== former, patience);
    await requests.answered(40);
    expectUnharmed(requests, [2, 3]);
    // While the script has its memory, the node has none for requests, and says so.
    expectShortGap(requests, 1, { refusedFor: 'memory_pressure' });
  });

  it.each([3600, -3600])(
    'serve and follow with a clock that is %d seconds wrong, also from a new pod',
    async (seconds) => {
      await using requests = await Requests.start(site, nodes);
      await site.lab.node(3).shiftClock(seconds);
      const { stdout } = await site.inRuntime(site.lab.node(3), 'node', '-p', 'Date.now()');
      expect(Math.round((Number(stdout) - Date.now()) / 60_000)).toBe(seconds / 60);
      await site.decide('digits');
      expectUnharmed(requests, nodes);
      const { metadata } = await site.runtimePod(3);
      await site.lab.kubectlOk(['-n', systemNamespace, 'delete', 'pod', metadata.name]);
      await waitFor(
        'the new pod',
        async () => (await site.runtimePod(3)).metadata.uid !== metadata.uid,
        patience,
      );
      await site.decide('upper');
      await connected(3, 'True');
      await requests.onlyFrom('upper', [3]);
      await site.lab.node(3).shiftClock(0);
      expectUnharmed(requests, [1, 2]);
      expectShortGap(requests, 3);
    },
  );
});
