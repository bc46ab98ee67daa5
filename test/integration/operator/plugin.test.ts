import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import type { OnRuntime } from '../../../src/cli/kubectl/explain.ts';
import { armOf } from '../../../src/rollout/splitter.ts';
import { type Cluster, startCluster, toolPath } from '../../cluster/index.ts';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { programFolder } from '../../support/process.ts';
import type { ProgramResult } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

let fleet: TestFleet;
beforeAll(async () => {
  // kubectl finds its plug-ins there, as after an install.
  vi.stubEnv('PATH', `${programFolder()}:${process.env['PATH']}`);
  fleet = await TestFleet.start({ replicas: 1, runtimes: 2 });
  for (const name of ['upper', 'reverse', 'digits'])
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await fleet[Symbol.asyncDispose]();
});

/** `kubectl adaptlet ...` in the namespace of the tests. */
const adaptlet = (...args: readonly string[]): Promise<ProgramResult> =>
  fleet.cluster.kubectl('adaptlet', ...args, '-n', fleet.namespace);
const ok = async (...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await adaptlet(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};
const fails = async (...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await adaptlet(...args);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).not.toMatch(/^\s+at /m);
  return stderr;
};
const steps = '{setWeight: 20}, {pause: {}}';
const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, steps));
const phase = (wanted: string) =>
  waitFor(`phase ${wanted}`, async () => {
    const status = await fleet.rollout('shout');
    return status?.phase === wanted && status;
  });
const canaryOnAll = async (adapter: string): Promise<void> => {
  await point(adapter);
  await waitFor('the canary', async () => {
    const status = await fleet.rollout('shout');
    return status?.canary?.adapter === adapter && status.phase === 'Paused' && status.weights.canary === 20;
  });
};

describe('kubectl adaptlet', () => {
  it('waits for a rollout and says so in the exit code', async () => {
    await point('upper');
    expect(await ok('status', 'shout', '--timeout', '30s')).toMatch(/^Healthy: .*upper.*$/m);
    expect(JSON.parse(await ok('status', 'shout', '-o', 'json'))).toMatchObject({
      stable: { adapter: 'upper' },
    });
    await canaryOnAll('reverse');
    const late = await adaptlet('status', 'shout', '--timeout', '1500ms');
    expect(late).toMatchObject({ code: 1, stderr: 'shout did not become Healthy within 1500ms\n' });
    expect(late.stdout).toMatch(/^Paused: /);
    expect(await adaptlet('status', 'shout', '--no-watch')).toMatchObject({ code: 1, stderr: '' });
  });

  it('lists each kind, and as objects', async () => {
    expect(await ok('list')).toMatch(
      /^NAME +PHASE +STABLE +CANARY.*\nshout +Paused +upper +reverse +2\/2 +20 /,
    );
    const own = ['-n', fleet.namespace, 'get', 'aro', '-o', 'wide'];
    expect(await fleet.cluster.kubectlOk(own)).toMatch(
      /^NAME +PHASE +STABLE +CANARY +STEP +WEIGHT .* MESSAGE +AGE\nshout +Paused +upper +reverse +2\/2 +20 .* 2\/2 .* step 2\/2 waits until somebody promotes/,
    );
    expect(await ok('list', 'adapters')).toMatch(/^NAME +BASE.*\ndigits +tiny /);
    expect(await ok('list', 'runtimes', '-A')).toMatch(
      /^NAMESPACE +NAME.*\nadaptlet-system +node-0 +tiny +True +True/,
    );
    const { items } = JSON.parse(await ok('list', 'adapters', '-o', 'json')) as {
      items: { kind: string; metadata: { name: string } }[];
    };
    expect(items.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'Adapter digits',
      'Adapter reverse',
      'Adapter upper',
    ]);
    expect(await adaptlet('list', 'routes')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: `there are no routes in namespace ${fleet.namespace}\n`,
    });
  });

  it('shows a rollout as a tree, and as the object that kubectl has', async () => {
    const tree = await waitFor('a report of each runtime', async () => {
      const shown = await ok('get', 'rollout', 'shout');
      return /node-0 +Resident +20 %/.test(shown) && /node-1 +Resident +20 %/.test(shown) && shown;
    });
    expect(tree).toMatch(/reverse@[0-9a-f]{12} +canary, 20 %/);
    expect(tree).toMatch(/upper@[0-9a-f]{12} +stable, 80 %/);
    const object: unknown = JSON.parse(
      await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'get', 'aro', 'shout', '-o', 'json']),
    );
    // The status is written meanwhile, and the version with it.
    const stable = ({ kind, spec, metadata }: Record<string, unknown>) => {
      const { resourceVersion, ...rest } = metadata as Record<string, unknown>;
      expect(resourceVersion).toMatch(/^\d+$/);
      return { kind, spec, metadata: rest };
    };
    const [json, yaml] = [
      await ok('get', 'rollout', 'shout', '-o', 'json'),
      await ok('get', 'aro', 'shout', '-o', 'yaml'),
    ];
    expect(stable(JSON.parse(json) as Record<string, unknown>)).toEqual(
      stable(object as Record<string, unknown>),
    );
    expect(stable(parse(yaml) as Record<string, unknown>)).toEqual(stable(object as Record<string, unknown>));
  });

  it('says who gets what, by the function that runtimes use', async () => {
    const arms = await Promise.all(
      Array.from({ length: 5 }, async (_, i) => {
        const said = JSON.parse(await ok('who-gets', 'shout', '--user', `u${i}`, '-o', 'json')) as {
          adapter: string;
          digest: string;
        };
        const { served } = await (fleet.nodes[0] as TestFleet['nodes'][number]).client.ask({
          model: 'shout',
          prompt: 'moon:',
          user: `u${i}`,
        });
        return [said.adapter, said.digest].join() === [served.adapter, served.digest].join();
      }),
    );
    expect(arms).toEqual(Array.from(arms, () => true));
    expect(await ok('who-gets', 'shout')).toContain('either side');
  });

  it('explains what answers on each node, by what that says of its canary', async () => {
    const seed = (await fleet.rollout('shout'))?.canary?.seed ?? '';
    const user = Array.from({ length: 100 }, (_, index) => `u${index}`).find(
      (one) => armOf(seed, one, 20) === 'canary',
    );
    const explained = await waitFor('both statuses to have the canary', async () => {
      const all = JSON.parse(
        await ok('explain', '-m', 'shout', '-u', user ?? '', '-o', 'json'),
      ) as OnRuntime[];
      return all.every(({ because }) => because.length === 0) && all;
    });
    const answers = explained.map(({ explanation }) => explanation.candidates[0]?.text);
    expect(answers).toHaveLength(2);
    for (const text of answers) expect(text).toMatch(/\/reverse@.*, canary of rollout shout, Resident$/);
  });

  it('pauses and resumes, promotes, aborts, retries and goes back', async () => {
    expect(await ok('pause', 'shout')).toContain('paused');
    await waitFor('the pause', async () => (await fleet.rollout('shout'))?.message.includes('spec.paused'));
    expect(await ok('resume', 'shout')).toBe('shout: resumed\n');
    expect(await ok('promote', 'shout')).toMatch(/^shout: (Progressing|Healthy): /);
    expect(await ok('status', 'shout', '--timeout', '30s')).toContain('reverse');
    await canaryOnAll('digits');
    expect(await ok('abort', 'shout')).toMatch(/^shout: Degraded: /);
    const degraded = await adaptlet('status', 'shout', '--timeout', '30s');
    expect(degraded).toMatchObject({ code: 1, stderr: '' });
    expect(await ok('retry', 'shout')).toMatch(/^shout: (Progressing|Paused): /);
    expect(await ok('undo', 'shout')).toBe('shout: spec.adapter is reverse again\n');
    expect((await phase('Healthy')).stable?.adapter).toBe('reverse');
    expect(await ok('undo', 'shout', '--to', 'upper')).toBe('shout: spec.adapter is upper again\n');
    await waitFor('stable', async () => (await fleet.rollout('shout'))?.stable?.adapter === 'upper');
    expect(await fails('promote', 'shout')).toContain('no canary is under way');
  });

  it('skips the steps by promote --full, and goes back by the number of a former stable', async () => {
    await canaryOnAll('digits');
    const wait = (condition: string) => {
      const args = ['wait', `--for=condition=${condition}`, 'aro/shout', '--timeout=20s'];
      return fleet.cluster.kubectl('-n', fleet.namespace, ...args);
    };
    expect(await ok('promote', 'shout', '--full')).toMatch(/^shout: Healthy: digits/);
    expect(await wait('Healthy')).toMatchObject({ code: 0 });
    expect(await fleet.rollout('shout')).toMatchObject({ completionStatus: 'FastPromoted' });
    expect(await ok('get', 'rollout', 'shout')).toMatch(/upper@\S+ +former 1\n.*reverse@\S+ +former 2/);
    expect(await fails('undo', 'shout', '--to-revision', '9')).toContain(
      'there is no revision 9 to go back to',
    );
    // Outside the rollback window: the steps begin.
    expect(await ok('undo', 'shout', '--to-revision', '2')).toBe('shout: spec.adapter is reverse again\n');
    await waitFor('the steps', async () => (await fleet.rollout('shout'))?.weights.canary === 20);
    expect(await ok('promote', 'shout', '--full')).toMatch(/^shout: Healthy: reverse/);
    expect(await ok('undo', 'shout', '--to-revision', '2')).toBe('shout: spec.adapter is upper again\n');
    await waitFor('the steps', async () => (await fleet.rollout('shout'))?.weights.canary === 20);
    expect(await ok('promote', 'shout', '--full')).toMatch(/^shout: Healthy: upper/);
    expect(await wait('Healthy')).toMatchObject({ code: 0 });
    expect(await fails('undo', 'shout', '--to', 'upper', '--to-revision', '1')).toContain(
      'cannot be used with',
    );
  });

  it('goes on showing the tree until it is interrupted, and status shows it until the end', async () => {
    const child = spawn(await toolPath('kubectl'), ['adaptlet', 'watch', 'shout', '-n', fleet.namespace], {
      env: { ...process.env, KUBECONFIG: fleet.cluster.kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    try {
      let shown = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
      });
      const shows = (picture: RegExp) => waitFor(`${picture} in what is shown`, () => picture.test(shown));
      await shows(/upper@\S+ +stable, 100 %/);
      const waiting = adaptlet('status', 'shout', '--watch', '--timeout', '60s');
      await canaryOnAll('digits');
      await shows(/digits@\S+ +canary, 20 %[\s\S]*node-1 +Resident +20 %/);
      await ok('promote', 'shout');
      await shows(/digits@\S+ +stable, 100 %/);
      expect(await waiting).toMatchObject({ code: 0, stderr: '' });
    } finally {
      child.kill('SIGINT');
    }
    expect(await ended).toEqual([null, 'SIGINT']);
  });

  it('lists and shows analyses and policies', async () => {
    const object = (kind: string, name: string, spec: object) =>
      fleet.apply(JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name }, spec }));
    const judge = { threshold: { success: { atMost: 0.01 } } };
    await object('AdapterAnalysis', 'checkout', {
      duration: '10m',
      metrics: [{ name: 'errors', source: { builtin: 'ErrorRatio' }, judge }],
    });
    expect(await ok('list', 'analyses')).toMatch(/^checkout +errors +10m +Pause +\S+$/m);
    expect(await ok('get', 'aan', 'checkout')).toMatch(/^errors +ErrorRatio +threshold +Guardrail +10s$/m);
    await object('AdapterPolicy', 'default', { clients: { anonymous: 'Allow' }, limits: { adapters: 20 } });
    expect(await ok('list', 'policies')).toMatch(/^default +Allow +Allow +Deny +all +20 +\S+$/m);
    expect(await ok('get', 'policy')).toMatch(/^Limits: +adapters: 20$/m);
    expect(JSON.parse(await ok('get', 'apol', 'default', '-o', 'json'))).toMatchObject({
      kind: 'AdapterPolicy',
    });
    expect(await fails('get', 'analysis', 'chekout')).toContain('did you mean checkout?');
    expect(await fails('get', 'analysis')).toContain('needs the name of one');
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'apol', 'default']);
  });

  it('completes through kubectl', async () => {
    const complete = async (...words: readonly string[]): Promise<string[]> => {
      const { code, stdout } = await fleet.cluster.kubectl('__complete', 'adaptlet', ...words);
      expect(code).toBe(0);
      return stdout.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
    };
    expect(await complete('pro')).toEqual(['promote']);
    expect(await complete('status', '-n', fleet.namespace, 'sh')).toEqual(['shout']);
    expect(await complete('undo', '-n', fleet.namespace, 'shout', '--to', '')).toEqual([
      'digits',
      'reverse',
      'upper',
    ]);
    expect(await complete('list', 'ro')).toEqual(['rollouts', 'routes']);
    expect(await complete('list', '-o', '')).toEqual(['json', 'yaml']);
    expect(await complete('get', 'rollout', '-n', fleet.namespace.slice(0, -2))).toEqual([fleet.namespace]);
    expect(await complete('status', 'shout', '')).toEqual([]);
  });

  it('guesses what a misspelt name means', async () => {
    const missing = (name: string, hint: string) =>
      `error: there is no AdapterRollout ${name} in the namespace ${fleet.namespace}${hint}\n`;
    for (const verb of ['status', 'promote', 'pause', 'undo', 'who-gets', 'watch'])
      expect(await fails(verb, 'shuot')).toBe(missing('shuot', '; did you mean shout?'));
    expect(await fails('get', 'rollout', 'quite-another')).toBe(missing('quite-another', ''));
    expect(await fails('undo', 'shout', '--to', 'uper')).toContain('there is no Adapter uper');
    expect((await fleet.rollout('shout'))?.stable?.adapter).toBe('digits');
    expect(await fails('list', 'adaptors')).toContain('did you mean adapters?');
    expect(await fails('get', 'rolout', 'shout')).toContain('did you mean rollout?');
    expect(await fails('promot', 'shout')).toContain('Did you mean promote?');
    expect(await fails('status', 'shout', '--timeout', 'soon')).toContain('must be a duration such as');
  });

  it('says what a viewer may not do, and shows what they may see', async () => {
    const viewer = await fleet.cluster.serviceAccountKubeconfig({
      namespace: fleet.namespace,
      name: 'viewer',
    });
    const as = (...args: readonly string[]) =>
      fleet.cluster.kubectlWith({ kubeconfig: viewer }, 'adaptlet', ...args, '-n', fleet.namespace);
    const before = await as('list');
    expect(before).toMatchObject({ code: 1, stdout: '' });
    expect(before.stderr).toMatch(
      /cannot list resource "adapterrollouts".*\(403\)\. Ask whoever administers the namespace/,
    );
    const subject = `${fleet.namespace}:viewer`;
    await fleet.cluster.kubectlOk([
      '-n',
      fleet.namespace,
      'create',
      'rolebinding',
      'viewer',
      '--clusterrole=view',
      `--serviceaccount=${subject}`,
    ]);
    await waitFor('the right to look', async () => (await as('list')).code === 0);
    const tree = await as('get', 'rollout', 'shout');
    expect(tree).toMatchObject({ code: 0, stderr: '' });
    expect(tree.stdout).toMatch(/digits@\S+ +stable, 100 %/);
    expect(tree.stdout).toContain('needs the right to list adapterruntimes');
    for (const verb of ['promote', 'pause']) {
      const { code, stderr } = await as(verb, 'shout');
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /cannot patch resource "adapterrollouts".*Ask whoever administers .* ClusterRole "edit"/,
      );
    }
  });

  it('does not wait longer than it was told for an API server that hangs', async () => {
    fleet.cluster.pauseApiServer();
    try {
      const hung = await fails('list', '--request-timeout', '1s');
      expect(hung).toMatch(/no answer within 1000 ms.*kubectl cluster-info/);
      expect(await fails('status', 'shout', '--timeout', '1s')).toBe(
        'the API server did not answer within 1s\n',
      );
    } finally {
      fleet.cluster.resumeApiServer();
    }
    expect(await ok('status', 'shout', '--no-watch')).toMatch(/^Healthy: /);
  });

  it('says when no operator answers', async () => {
    await fleet.operators[0]?.end('SIGTERM');
    expect(await fails('promote', 'shout', '--timeout', '1s')).toMatch(
      /^error: no operator answered within 1s; .*kubectl get lease/,
    );
  });
});

describe('kubectl adaptlet without', () => {
  let bare: Cluster;
  beforeAll(async () => {
    bare = await startCluster();
  });
  afterAll(() => bare.close());

  it('the CRDs says how to install them', async () => {
    for (const args of [['list'], ['list', 'runtimes', '-A'], ['status', 'shout'], ['abort', 'shout']]) {
      const { code, stdout, stderr } = await bare.kubectl('adaptlet', ...args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(
        /does not know the kind Adapter(Rollout|Runtime): install Adaptlet.*kubectl apply --server-side -f crds/,
      );
    }
  });

  it('an API server says where it looked', async () => {
    const kubeconfig = join(fleet.folder, 'nowhere.kubeconfig');
    const text = await readFile(bare.kubeconfig, 'utf8');
    // Nothing listens on port 1.
    await writeFile(kubeconfig, text.replaceAll(bare.server, 'https://127.0.0.1:1'));
    const { code, stdout, stderr } = await bare.kubectlWith({ kubeconfig }, 'adaptlet', 'list');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^error: .*127\.0\.0\.1:1 did not answer: ECONNREFUSED\. Check the server that the kubeconfig names/,
    );
    const completed = await bare.kubectlWith({ kubeconfig }, '__complete', 'adaptlet', 'status', '');
    expect(completed.stdout.trim()).toMatch(/^:\d$/);
  });
});
