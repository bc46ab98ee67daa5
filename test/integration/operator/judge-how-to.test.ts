import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { toolPath } from '../../cluster/index.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { programFolder, repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/judge-a-rollout.md'), 'utf8');
const [beside = '', inStep = '', shared = '', byName = '', test = '', ...noMoreYaml] = codeBlocks(
  page,
  'yaml',
);
const [apply = '', feedback = '', look = '', promote = '', abort = '', scripts = '', ...noMore] = codeBlocks(
  page,
  'sh',
);

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 1 });
  await fleet.apply(await clusterAdapter('shout-v1', 'adapters/upper'));
  await fleet.apply(await clusterAdapter('shout-v2', 'adapters/reverse'));
  await fleet.apply(rolloutYaml('shout', 'shout-v1', ''));
  await waitFor('stable', async () => (await fleet.rollout('shout'))?.phase === 'Healthy');
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const run = async (script: string) => {
  const path = [dirname(await toolPath('kubectl')), programFolder(), process.env['PATH']];
  const env = {
    KUBECONFIG: fleet.cluster.kubeconfig,
    PATH: path.join(':'),
    RUNTIME: fleet.nodes[0]?.http ?? '',
  };
  return runProgram('bash', ['-ec', script], { cwd: fleet.folder, env });
};
const ok = async (script: string): Promise<string> => {
  const result = await run(script);
  expect(result, script).toMatchObject({ code: 0 });
  return result.stdout;
};
/** Waits until somebody has to decide, and that the reason says so. */
const awaits = (reason: string) =>
  waitFor(reason, async () => {
    const status = await fleet.rollout('shout');
    return status?.conditions.some((condition) => condition.reason === reason) && status;
  });

describe('docs/how-to/judge-a-rollout.md', () => {
  it('has no block that this does not know', () => {
    expect([noMoreYaml, noMore]).toEqual([[], []]);
    expect(page.match(/^```\w+$/gm)).toHaveLength(11);
  });

  it('has strategies that the API server takes', async () => {
    for (const block of [beside, inStep, byName]) {
      const { strategy } = parse(block) as { strategy: { canary: object } };
      const object = {
        apiVersion: 'adaptlet.io/v1alpha1',
        kind: 'AdapterRollout',
        metadata: { name: 'page' },
        spec: { adapter: 'shout-v1', strategy },
      };
      await writeFile(join(fleet.folder, 'page.json'), JSON.stringify(object));
      expect(await ok(`kubectl -n ${fleet.namespace} apply --dry-run=server -f page.json`)).toMatch(
        /page created/,
      );
    }
  });

  it('has an AdapterAnalysis that the API server takes', async () => {
    await writeFile(join(fleet.folder, 'shared.yaml'), shared);
    const tried = `kubectl -n ${fleet.namespace} apply --dry-run=server -f shared.yaml`;
    expect(await ok(tried)).toMatch(/adapteranalysis.adaptlet.io\/checkout created/);
  });

  it('runs an A/B test with feedback, which waits for a person when it cannot tell', async () => {
    await ok(`kubectl config set-context --current --namespace=${fleet.namespace}`);
    // A day is too long here: it ends when the spec says so, the rest is as it is written.
    expect(test).toContain('duration: 24h');
    await writeFile(join(fleet.folder, 'test.yaml'), test.replace('24h', '8s'));
    await ok(apply);
    await waitFor('the test', async () => (await fleet.rollout('shout'))?.weights.canary === 50);
    const arms = new Set<string>();
    for (let user = 0; arms.size < 2; user++) {
      const taken = JSON.parse(await ok(feedback.replace('u42', `u${user}`))) as { arm: string };
      expect(taken).toMatchObject({ object: 'feedback', rollout: 'shout', replaced: false });
      arms.add(taken.arm);
    }
    const { message } = await awaits('AwaitingVerdict');
    expect(message).toMatch(/^metric reward: .+; canary at 50 %: promote goes on, abort gives it up$/);
    const shown = await ok(look);
    expect(shown).toMatch(/^Strategy: +abTest, step 3\/4, weight 50 %/m);
    expect(shown).toMatch(/^\? reward +step 3 +Inconclusive +/m);
    expect(shown).toMatch(/^. error-ratio +beside the steps +Running/m);
    expect(shown).toMatch(/^A\/B test by reward: cannot be told: /m);
    expect(shown).toMatch(/^ +stable shout-v1 +\S.*\n +canary shout-v2 +\S/m);
    expect(shown).toMatch(/(stable shout-v1|canary shout-v2) +too few callers$/m);
    expect(await run('kubectl adaptlet status shout --timeout 1s')).toMatchObject({ code: 1 });
    expect(await run('kubectl adaptlet status shout --no-watch')).toMatchObject({ code: 1 });
    const metrics = (await fleet.operators[0]?.metrics()) ?? '';
    const labels = `namespace="${fleet.namespace}",name="shout"`;
    expect(metrics).toContain(`adaptlet_rollout_info{${labels},strategy="abTest",phase="Paused"} 1\n`);
    expect(metrics).toContain(
      `adaptlet_rollout_metric_phase{${labels},metric="reward",step="3",phase="Inconclusive"} 1\n`,
    );
  });

  it('is given up by an abort, goes on by a promote, and says so to scripts', async () => {
    const [wait = '', status = '', ...rest] = scripts.trim().split('\n');
    expect(rest).toEqual([]);
    expect(await ok(abort)).toMatch(/^shout: Degraded: /);
    expect(await run(wait.replace('20m', '1s'))).toMatchObject({ code: 1 });
    expect(await run(status)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^Degraded: /) as string,
    });
    await ok('kubectl adaptlet undo shout');
    expect(await ok(status)).toMatch(/^Healthy: shout-v1 serves$/m);
    await ok(apply);
    await awaits('AwaitingVerdict');
    expect(await ok(promote)).toMatch(/^shout: Healthy: shout-v2 serves$/m);
    expect(await ok(wait)).toContain('condition met');
    expect(await ok(status)).toMatch(/^Healthy: shout-v2 serves$/m);
  });
});
