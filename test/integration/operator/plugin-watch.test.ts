import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../../cluster/index.ts';
import { AuditLog } from '../../support/audit.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { repositoryRoot } from '../../support/process.ts';
import { waitFor } from '../../support/wait.ts';

const namespace = 'default';
const watcher = { namespace, name: 'watcher' };

let audit: AuditLog;
let cluster: Cluster;
let kubeconfig: string;
beforeAll(async () => {
  audit = await AuditLog.of([`system:serviceaccount:${namespace}:watcher`]);
  cluster = await startCluster({ apiServerFlags: audit.flags });
  await cluster.installCrds();
  kubeconfig = await cluster.serviceAccountKubeconfig(watcher);
  await cluster.kubectlOk([
    'create',
    'clusterrole',
    'watcher',
    '--verb=get,list,watch',
    '--resource=adapterrollouts.adaptlet.io,adapterruntimes.adaptlet.io',
  ]);
  const subject = `--serviceaccount=${namespace}:watcher`;
  await cluster.kubectlOk(['create', 'clusterrolebinding', 'watcher', '--clusterrole=watcher', subject]);
  await cluster.kubectlOk(
    ['apply', '-f', '-'],
    rolloutYaml('shout', 'upper', '{setWeight: 20}, {pause: {}}'),
  );
});
afterAll(async () => {
  await cluster.close();
  await audit[Symbol.asyncDispose]();
});

/** No operator runs: the test says what it would. */
const decide = (message: string, observedGeneration: number) => {
  const status = {
    observedGeneration,
    phase: 'Paused',
    revision: 1,
    message,
    history: [],
    weights: { canary: 0, stable: 100 },
    conditions: [],
  };
  const patch = JSON.stringify({ status });
  return cluster.kubectlOk(['patch', 'aro', 'shout', '--subresource=status', '--type=merge', '-p', patch]);
};

/** The plug-in as the user whose requests are counted. */
const follow = (...args: readonly string[]) => {
  const child = spawn(join(repositoryRoot, 'bin/kubectl-adaptlet'), args, {
    env: { ...process.env, KUBECONFIG: kubeconfig },
  });
  const shown = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    shown.err += text;
  });
  return { child, shown, ended: once(child, 'exit') };
};

const counts = async (): Promise<Record<string, number>> => {
  const found: Record<string, number> = {};
  for (const { verb, resource } of await audit.requests()) {
    const what = `${verb} ${resource}`;
    found[what] = (found[what] ?? 0) + 1;
  }
  return found;
};

describe('kubectl adaptlet', () => {
  it('lists once and watches, whatever changes, also over a restart of the API server', async () => {
    const { child, shown, ended } = follow('get', 'rollout', 'shout', '--watch');
    const shows = (text: string) =>
      waitFor(`${text} in what is shown`, () => shown.out.includes(text), 30_000);
    try {
      await shows('no decision was made yet');
      for (let i = 0; i < 5; i++) {
        await decide(`decision ${i}`, 1);
        await shows(`decision ${i}`);
      }
      const before = await waitFor('both watches in the audit log', async () => {
        const found = await counts();
        return (found['watch adapterrollouts'] ?? 0) + (found['watch adapterruntimes'] ?? 0) >= 2 && found;
      });
      expect(before).toEqual({
        'list adapterrollouts': 1,
        'list adapterruntimes': 1,
        'watch adapterrollouts': 1,
        'watch adapterruntimes': 1,
      });
      await cluster.stopApiServer('SIGKILL');
      await waitFor('a word about it', () => shown.err.includes('Looking again until it answers.'));
      await cluster.startApiServer();
      await decide('after the restart', 1);
      await shows('after the restart');
      // Said once, however often it was tried.
      expect(shown.err.match(/Looking again/g)).toHaveLength(1);
    } finally {
      child.kill('SIGINT');
    }
    expect(await ended).toEqual([null, 'SIGINT']);
  });

  it('ends when what it shows is deleted', async () => {
    const { child, shown, ended } = follow('status', 'shout', '--timeout', '60s');
    try {
      await waitFor('the first line', () => shown.out !== '');
      await cluster.kubectlOk(['delete', 'aro', 'shout']);
      expect(await ended).toEqual([1, null]);
      expect(shown.err).toContain('there is no AdapterRollout shout in the namespace default');
    } finally {
      child.kill('SIGINT');
    }
  });
});
