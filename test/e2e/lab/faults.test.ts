import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labObstacles, nodeClock } from '../../cluster/lab/index.ts';
import { moon } from '../../support/moon.ts';
import { tiny } from '../../support/node.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { Requests } from './requests.ts';
import { type AdapterName, Site, systemNamespace } from './site.ts';

const obstacles = labObstacles();
const nodes = [1, 2, 3] as const;
type Index = (typeof nodes)[number];
/** Kubernetes waits 10 s before it misses a node, and so do kubelets here and there; the machine may be busy. */
const patience = 120_000;

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
  minReadySeconds: 2,
  updateStrategy: { maxUnavailable: 1 },
};

/** Straight to the adapter: what a change of the plan costs, without waiting for steps. */
const point = (adapter: AdapterName, steps = '{setWeight: 100}') =>
  site.apply(
    `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: shout}\nspec: {adapter: ${adapter}, strategy: {canary: {steps: [${steps}]}}}\n`,
  );

/** Decides something new, and waits until it is decided: the whole control plane works. */
const decide = async (adapter: AdapterName) => {
  await point(adapter);
  await site.healthy('shout', adapter, patience);
};

const asking = async (which: readonly Index[] = nodes): Promise<Requests> => {
  const hosts = new Map<number, string>();
  for (const index of which) hosts.set(index, await site.service(site.lab.node(index), 'http'));
  const requests = new Requests(hosts, `${site.namespace}/shout`);
  await answeredOn(requests, which, 20);
  return requests;
};
const answeredOn = async (requests: Requests, which: readonly Index[], more: number) => {
  const before = which.map((index) => requests.of(index).answered);
  await waitFor(
    'answers on every node',
    () => which.every((index, i) => requests.of(index).answered >= (before[i] ?? 0) + more),
    patience,
  );
};
/** Every client of these nodes got every answer, and the right one. */
const expectUnharmed = (requests: Requests, which: readonly Index[] = nodes) => {
  for (const index of which) {
    const { failures, wrong } = requests.of(index);
    expect({ index, failures, wrong }).toEqual({ index, failures: [], wrong: [] });
  }
};

/** What a client loses of a node whose pod or engine is replaced: a request or few, and no answer is wrong. */
const mostLost = 10;
const expectShortGap = (requests: Requests, index: Index) => {
  const { failures, wrong, longestGapMs, answered } = requests.of(index);
  const gap = `${(longestGapMs / 1000).toFixed(1)} s without an answer`;
  console.log(`node ${index}: ${failures.length} of ${answered + failures.length} requests failed, ${gap}`);
  expect({ wrong, failures: failures.slice(mostLost) }).toEqual({ wrong: [], failures: [] });
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
    await site.apply((['upper', 'reverse', 'digits'] as const).map((name) => site.adapter(name)).join(''));
    await decide('upper');
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    rmSync(temporary, { recursive: true, force: true });
  });

  it('run a second base model on a node beside the first, from a folder of the node', async () => {
    await using requests = await asking();
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
      'second',
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
    expectUnharmed(requests);
  });

  it('lose no request while the operator is updated', async () => {
    await using requests = await asking();
    await site.lab.kubectlOk(['-n', systemNamespace, 'rollout', 'restart', 'deployment/adaptlet-operator']);
    await site.rolledOut('deployment/adaptlet-operator');
    await decide('reverse');
    await answeredOn(requests, nodes, 20);
    expectUnharmed(requests);
  });

  it('lose no request when the leader is killed, and another replica leads', async () => {
    await using requests = await asking();
    const former = await leader();
    await site.killContainer('operator', former.split('_')[0] ?? '');
    await decide('digits');
    expect(await leader()).not.toBe(former);
    await answeredOn(requests, nodes, 20);
    expectUnharmed(requests);
  });

  it('lose no request when the API server is killed and comes back', async () => {
    await using requests = await asking();
    await site.lab.stopApiServer('SIGKILL');
    await answeredOn(requests, nodes, 40);
    await site.lab.startApiServer();
    await decide('upper');
    await answeredOn(requests, nodes, 20);
    expectUnharmed(requests);
  });

  it('serve on where the link is cut, take a rollback by hand there, and come together again', async () => {
    await using requests = await asking();
    await point('reverse', '{setWeight: 40}, {pause: {}}');
    await waitFor('a canary on each node', () =>
      nodes.every((index) => requests.of(index).adapters.has('reverse')),
    );
    await site.lab.node(2).link('down');
    await connected(2, 'False');
    await answeredOn(requests, [2], 40);
    const { code, stdout } = await site.inRuntime(site.lab.node(2), 'adaptlet', 'rollback', 'team-a/shout');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining('rolled back by hand on this node') as string,
    });
    requests.of(2).adapters.clear();
    await answeredOn(requests, [2], 80);
    expect([...requests.of(2).adapters]).toEqual(['upper']);
    // Others do not know of it, and are led on.
    await decide('digits');
    await site.lab.node(2).link('up');
    await connected(2, 'True');
    await waitFor('the newest on node 2', async () => {
      requests.of(2).adapters.clear();
      await answeredOn(requests, [2], 40);
      return [...requests.of(2).adapters].join() === 'digits';
    });
    expectUnharmed(requests);
  });

  it('lose no request elsewhere when a node loses its power, which serves again after its boot', async () => {
    await using requests = await asking([1, 2]);
    const node = site.lab.node(3);
    await node.kill();
    await connected(3, 'False');
    await decide('reverse');
    await node.boot();
    await connected(3, 'True');
    await using back = await asking([3]);
    await waitFor('the newest on node 3', () => back.of(3).adapters.has('reverse'), patience);
    expectUnharmed(requests, [1, 2]);
    expectUnharmed(back, [3]);
  });

  it('need no registry for what they have, not even for a new pod', async () => {
    await using requests = await asking();
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
      await answeredOn(requests, nodes, 40);
      expect(await site.digestOf('hello')).toBeUndefined();
    } finally {
      site.lab.registry.resume();
    }
    await decide('hello');
    await waitFor(
      'the newest',
      () => nodes.every((index) => requests.of(index).adapters.has('hello')),
      patience,
    );
    expectUnharmed(requests, [2, 3]);
    expectShortGap(requests, 1);
  });

  it('lose no request on a node that is drained', async () => {
    await using requests = await asking();
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
    await decide('upper');
    await answeredOn(requests, nodes, 20);
    expectUnharmed(requests);
  });

  it('get a new engine when the kernel kills one that takes too much memory', async () => {
    await using requests = await asking();
    const node = site.lab.node(1);
    const former = await site.enginePid(node);
    await site.exhaustMemory(node);
    await waitFor('another engine', async () => (await site.enginePid(node)) !== former, patience);
    await answeredOn(requests, nodes, 40);
    expectUnharmed(requests, [2, 3]);
    expectShortGap(requests, 1);
  });

  it.each([3600, -3600])(
    'serve and follow with a clock that is %d seconds wrong, also from a new pod',
    async (seconds) => {
      await using requests = await asking();
      await site.lab.node(3).shiftClock(seconds);
      const { stdout } = await site.inRuntime(site.lab.node(3), 'node', '-p', 'Date.now()');
      expect(Math.round((Number(stdout) - Date.now()) / 60_000)).toBe(seconds / 60);
      await decide('digits');
      expectUnharmed(requests);
      const { metadata } = await site.runtimePod(3);
      await site.lab.kubectlOk(['-n', systemNamespace, 'delete', 'pod', metadata.name]);
      await waitFor(
        'the new pod',
        async () => (await site.runtimePod(3)).metadata.uid !== metadata.uid,
        patience,
      );
      await decide('upper');
      await connected(3, 'True');
      await waitFor(
        'the newest on node 3',
        async () => {
          requests.of(3).adapters.clear();
          await answeredOn(requests, [3], 10);
          return [...requests.of(3).adapters].join() === 'upper';
        },
        patience,
      );
      await site.lab.node(3).shiftClock(0);
      expectUnharmed(requests, [1, 2]);
      expectShortGap(requests, 3);
    },
  );

  it.each(['upgrade', 'rollback'] as const)(
    'lose a request or few on each node in turn by helm %s',
    async (verb) => {
      const pods = await site.podsOf('runtime');
      await using requests = await asking();
      if (verb === 'upgrade') await site.helm('upgrade', { operator, runtime, logLevel: 'debug' });
      else await site.lab.helm('rollback', 'adaptlet', '-n', systemNamespace);
      for (const name of ['edge', 'drifting']) await site.rolledOut(`daemonset/adaptlet-runtime-${name}`);
      const kept = (await site.podsOf('runtime')).filter(({ metadata }) =>
        pods.some((pod) => pod.metadata.uid === metadata.uid),
      );
      expect(kept).toEqual([]);
      await decide(verb === 'upgrade' ? 'reverse' : 'digits');
      await answeredOn(requests, nodes, 20);
      for (const index of nodes) expectShortGap(requests, index);
    },
  );
});
