import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditionOf } from '../../../src/api/condition.ts';
import type { RuntimeObjectStatus } from '../../../src/api/runtime.ts';
import { toolPath } from '../../cluster/index.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/choose-nodes.md'), 'utf8');
const [labelNode = '', look = '', cordon = '', cordonRuntime = '', hold = '', why = '', ...noMore] =
  codeBlocks(page, 'sh');

type Runtime = {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly status?: RuntimeObjectStatus;
};

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({
    replicas: 2,
    runtimes: 3,
    nodeSettings: { labels: 'adaptlet.io/site=forged,rack=7' },
  });
  for (const name of ['upper', 'reverse', 'digits'])
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await fleet.cluster.kubectlOk(['config', 'set-context', '--current', `--namespace=${fleet.namespace}`]);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

/** Runs commands of the page as its reader would; the node edge-1 is called node-1 here. */
const run = async (script: string): Promise<string> => {
  const path = [dirname(await toolPath('kubectl')), process.env['PATH']].join(':');
  const env = { KUBECONFIG: fleet.cluster.kubeconfig, PATH: path };
  const commands = script.replaceAll('edge-1', 'node-1');
  const result = await runProgram('bash', ['-ec', commands], { cwd: fleet.folder, env });
  expect(result, script).toMatchObject({ code: 0 });
  return result.stdout;
};
const runtime = (name: string) => fleet.get<Runtime>('adr', name, systemNamespace);
const labelsOf = async (name: string) => (await runtime(name))?.metadata.labels;
const condition = (name: string, type: string, status: string, reason?: string) =>
  waitFor(`${type}=${status} of ${name}`, async () => {
    const found = conditionOf((await runtime(name))?.status?.conditions, type);
    return found?.status === status && (reason === undefined || found.reason === reason) && found;
  });
const ask = (name: string, spec: object) =>
  fleet.cluster.kubectlOk(
    ['-n', systemNamespace, 'patch', 'adr', name, '--type=merge'].concat('-p', JSON.stringify({ spec })),
  );
const status = (
  rollout: string,
  what: string,
  holds: (now: NonNullable<Awaited<ReturnType<TestFleet['rollout']>>>) => boolean,
) =>
  waitFor(
    `${rollout}: ${what}`,
    async () => {
      const now = await fleet.rollout(rollout);
      return now !== undefined && holds(now) && now;
    },
    45_000,
  );
const stable = (rollout: string, adapter: string) =>
  status(
    rollout,
    `${adapter} is stable`,
    (now) => now.phase === 'Healthy' && now.stable?.adapter === adapter,
  );
const point = (adapter: string, steps: string, extra = '') =>
  fleet.apply(rolloutYaml('shout', adapter, steps, extra));
const answerOf = (index: number, model = 'shout'): Promise<string> => {
  const node = fleet.nodes[index];
  if (node === undefined) throw new Error(`there is no runtime ${index}`);
  return askMoon(node, model).then(
    ({ text }) => text,
    (error: { code?: string }) => error.code ?? 'a failure without a code',
  );
};
/** What a runtime says that a rollout is not for. */
const unavailable = 'ADAPTER_NOT_AVAILABLE';
const answers = async (expected: readonly string[], model = 'shout'): Promise<void> => {
  let last: readonly string[] = [];
  await waitFor(`answers of ${model}`, async () => {
    last = await Promise.all(expected.map((_, index) => answerOf(index, model)));
    return JSON.stringify(last) === JSON.stringify(expected);
  }).catch(() => {
    // Says what the answers are instead.
    expect(last).toEqual(expected);
  });
};

describe('labels of Nodes', () => {
  it('are on their runtimes, whatever a runtime says of them', async () => {
    expect(await labelsOf('node-1')).toEqual({ rack: '7' });
    await run(labelNode);
    await waitFor('the label', async () => (await labelsOf('node-1'))?.['adaptlet.io/site'] === 'north');
    expect(await labelsOf('node-1')).toEqual({ 'adaptlet.io/site': 'north', rack: '7' });
    expect(await run(look)).toMatch(/node-1 .* north\n/);
  });

  it('select runtimes, and follow the Node', async () => {
    const [selector = ''] = /^runtimeSelector: .*$/m.exec(page) ?? [];
    await fleet.apply(rolloutYaml('north', 'upper', '{setWeight: 100}', `  ${selector}\n`));
    await stable('north', 'upper');
    await answers([unavailable, moon.upper, unavailable], 'north');
    await fleet.cluster.kubectlOk(['label', 'node', 'node-1', 'adaptlet.io/site-']);
    await fleet.cluster.kubectlOk(['label', 'node', 'node-2', 'adaptlet.io/site=north']);
    await answers([unavailable, unavailable, moon.upper], 'north');
    expect(await labelsOf('node-1')).toEqual({ rack: '7' });
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'aro', 'north']);
  });

  it('choose the runtimes of a group', async () => {
    await point('upper', '');
    await stable('shout', 'upper');
    const groups = '  groups: [{name: north, selector: {matchLabels: {adaptlet.io/site: north}}}]\n';
    await point('reverse', '{setWeight: 100}, {pause: {}}', groups);
    await status('shout', 'the pause', ({ phase }) => phase === 'Paused');
    await answers([moon.upper, moon.upper, moon.reverse]);
    await point('upper', '');
    await answers([moon.upper, moon.upper, moon.upper]);
    await stable('shout', 'upper');
  });
});

describe('runtimes that are cordoned or held', () => {
  it('keep what they serve while a rollout goes over the others, which says so', async () => {
    await run(cordon);
    await condition('node-1', 'Cordoned', 'True', 'NodeCordoned');
    await run(hold.replaceAll('edge-1', 'node-2'));
    const { message } = await condition('node-2', 'Held', 'True');
    expect(message).toMatch(/at the revision adapters \d+, rollouts \d+/);
    await point('reverse', '{setWeight: 100}');
    await stable('shout', 'reverse');
    await answers([moon.reverse, moon.upper, moon.upper]);
    const { apart, runtimes } = await status(
      'shout',
      'the counts',
      (now) => now.runtimes?.cordoned === 2 && now.runtimes.updated === 1,
    );
    expect(runtimes).toMatchObject({ desired: 1, ready: 1 });
    expect(apart).toEqual([
      { runtime: `${systemNamespace}/node-1`, why: 'Cordoned', serves: 'upper' },
      { runtime: `${systemNamespace}/node-2`, why: 'Held', serves: 'upper' },
    ]);
  });

  it('keep it over a restart of the operator and their own', async () => {
    for (const index of fleet.operators.keys()) {
      await fleet.operators[index]?.end('SIGTERM');
      await fleet.restartOperator(index);
    }
    await fleet.nodes[1]?.end('SIGTERM');
    await fleet.restartNode(1);
    await fleet.leader();
    for (const name of ['node-1', 'node-2']) await condition(name, 'Connected', 'True');
    await answers([moon.reverse, moon.upper, moon.upper]);
  });

  it('catch up when they are released', async () => {
    await fleet.cluster.kubectlOk(['uncordon', 'node-1']);
    await ask('node-2', { held: null });
    await answers([moon.reverse, moon.reverse, moon.reverse]);
    await status('shout', 'everybody', (now) => now.runtimes?.desired === 3 && now.apart === undefined);
  });

  it('get the weights of a canary that they have where they are cordoned; an abort reaches both', async () => {
    const weights = async (): Promise<(number | undefined)[]> =>
      Promise.all(
        fleet.nodes.map(async (node) => {
          const { rollouts } = await node.client.status();
          return rollouts.find(({ key }) => key.endsWith('/shout'))?.effectiveWeight;
        }),
      );
    const spread = (expected: readonly number[]) =>
      waitFor(`weights ${expected.join(' ')}`, async () => String(await weights()) === String(expected));
    await point('digits', '{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}');
    await spread([20, 20, 20]);
    await run(cordonRuntime);
    await ask('node-2', { held: true });
    await condition('node-1', 'Cordoned', 'True', 'CordonedBySpec');
    await condition('node-2', 'Held', 'True');
    await fleet.plugin('promote', 'shout');
    await spread([60, 60, 20]);
    await fleet.plugin('abort', 'shout');
    await spread([0, 0, 0]);
    await answers([moon.reverse, moon.reverse, moon.reverse]);
    await ask('node-1', { cordoned: null });
    await ask('node-2', { held: null });
    await point('reverse', '');
    await stable('shout', 'reverse');
  });
});

describe('two base models on one node', () => {
  it('make an adapter schedulable that no runtime could hold before', async () => {
    const yaml = await clusterAdapter('other', 'adapters/upper');
    await fleet.apply(yaml.replace('baseModel: tiny', 'baseModel: tiny-two'));
    await fleet.apply(rolloutYaml('second', 'other', ''));
    const schedulable = (is: string) =>
      status('second', `Schedulable=${is}`, ({ conditions }) => {
        return conditionOf(conditions, 'Schedulable')?.status === is;
      });
    const { conditions, phase } = await schedulable('False');
    expect(phase).toBe('Progressing');
    expect(conditionOf(conditions, 'Ready')?.message).toContain('no runtime with the base model tiny-two');
    expect(await run(why.replace('shout', 'second'))).toBe(
      'no runtime has the base model tiny-two (3 runtimes, 0 with this model)',
    );
    const model = page.match(/value: \$\(NODE_NAME\)(\.model-\w+)$/m)?.[1] ?? '';
    const name = `node-0${model}`;
    await fleet.startNode(3, { 'runtime-name': name, 'model-name': 'tiny-two' }, 'node-0');
    await schedulable('True');
    await stable('second', 'other');
    await waitFor('its answer', async () => (await answerOf(3, 'second')) === moon.upper);
    expect(await answerOf(0)).toBe(moon.reverse);
    for (const one of ['node-0', name]) {
      await condition(one, 'Ready', 'True');
      expect((await runtime(one))?.metadata.ownerReferences).toMatchObject([
        { kind: 'Node', name: 'node-0' },
      ]);
    }
    const adapter = await waitFor('the Adapter to say so', async () => {
      const found = await fleet.get<{ status?: { conditions: RuntimeObjectStatus['conditions'] } }>(
        'ad',
        'other',
      );
      const one = conditionOf(found?.status?.conditions, 'Schedulable');
      return one?.status === 'True' && one;
    });
    expect(adapter.message).toBe('1 of 1 connected runtimes with the base model tiny-two can hold it');
    await fleet.nodes[3]?.end('SIGKILL');
    await schedulable('False');
    expect(conditionOf((await fleet.rollout('second'))?.conditions, 'Schedulable')?.reason).toBe(
      'NotConnected',
    );
  });
});

it('the page has no command that is not run here', () => {
  expect(noMore).toEqual([]);
});
