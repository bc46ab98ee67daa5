import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inUseFinalizer } from '../../../src/operator/reconcile/uses.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { chart, helm } from './helm.ts';
import { runJobPod } from './job-pod.ts';

type Named = { readonly metadata: { readonly finalizers?: readonly string[] } };

const rollout = `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRollout
metadata: {name: shout}
spec: {adapter: upper}
`;

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 2, runtimes: 0 });
  await fleet.apply((await clusterAdapter('upper', 'adapters/upper')) + rollout);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const isKept = async (): Promise<boolean> =>
  (await fleet.get<Named>('ad', 'upper'))?.metadata.finalizers?.includes(inUseFinalizer) === true;

const release = (...args: readonly string[]): Promise<ProgramResult> =>
  runProgram(join(repositoryRoot, 'bin/adaptlet'), ['release-adapters', ...args], {
    env: { KUBECONFIG: fleet.cluster.kubeconfig },
  });

const onCluster = (...args: readonly string[]): Promise<ProgramResult> =>
  helm([...args, '-n', systemNamespace], fleet.cluster.kubeconfig);

const replicas = (): Promise<string> =>
  fleet.cluster.kubectlOk([
    '-n',
    systemNamespace,
    'get',
    'deployment',
    'adaptlet-operator',
    '-o',
    'jsonpath={.spec.replicas}',
  ]);

/** What kubelets do once the Deployment has no replicas any more. */
const stopOperatorsWhenScaledDown = async (): Promise<void> => {
  await waitFor('the Deployment to be scaled down', async () => (await replicas()) === '0', 60_000);
  await Promise.all(fleet.operators.map((operator) => operator.end('SIGTERM')));
};

describe('an uninstall', () => {
  it('waits for an operator that goes on, and leaves what it keeps', async () => {
    await waitFor('the finalizer of an adapter in use', isKept);
    const { code, stderr } = await release('--timeout', '2s');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /the Lease adaptlet-operator is held by operator-\d_.*Stop whatever runs the operator, then try again/,
    );
    expect(await isKept()).toBe(true);
  });

  it('lets an operator that was not stopped lead again, which puts the finalizer back', async () => {
    // As after `helm upgrade`.
    await fleet.cluster.kubectlOk([
      '-n',
      systemNamespace,
      'scale',
      'deployment/adaptlet-operator',
      '--replicas=2',
    ]);
    const removed = JSON.stringify({ metadata: { finalizers: [] } });
    await fleet.cluster.kubectlOk([
      '-n',
      fleet.namespace,
      'patch',
      'ad',
      'upper',
      '--type=merge',
      '-p',
      removed,
    ]);
    await waitFor('the finalizer to be back', isKept);
  });

  it('stops the operator, takes its finalizer off, and leaves namespaces that can be deleted', async () => {
    const [uninstalled, job] = await Promise.all([
      onCluster('uninstall', 'adaptlet', '--timeout', '100s'),
      runJobPod(fleet.cluster, systemNamespace, 'adaptlet-release-adapters'),
      stopOperatorsWhenScaledDown(),
    ]);
    expect(job).toMatchObject({ code: 0, stdout: 'released 1 Adapter\n' });
    expect(uninstalled).toMatchObject({ code: 0 });
    expect(await isKept()).toBe(false);

    const left = await fleet.cluster.kubectlOk([
      '-n',
      systemNamespace,
      'get',
      'job,serviceaccount,role,rolebinding',
      '-o',
      'name',
    ]);
    expect(left).not.toContain('adaptlet');
    const rights = await fleet.cluster.kubectlOk(['get', 'clusterrole,clusterrolebinding', '-o', 'name']);
    expect(rights).not.toContain('adaptlet');
    await fleet.cluster.kubectlOk(['delete', 'namespace', fleet.namespace, '--timeout=60s']);
  });

  it('without the Job can be made good by hand', async () => {
    const namespace = await fleet.cluster.createNamespace('late');
    expect(await onCluster('install', 'adaptlet', chart)).toMatchObject({ code: 0 });
    const inNamespace = ['-n', namespace];
    await fleet.cluster.kubectlOk(
      [...inNamespace, 'apply', '-f', '-'],
      (await clusterAdapter('upper', 'adapters/upper')) + rollout,
    );
    await fleet.startOperator(0);
    const finalizers = [...inNamespace, 'get', 'ad', 'upper', '-o', 'jsonpath={.metadata.finalizers}'];
    await waitFor('the finalizer', async () =>
      (await fleet.cluster.kubectlOk(finalizers)).includes(inUseFinalizer),
    );
    expect(await onCluster('uninstall', 'adaptlet', '--no-hooks')).toMatchObject({ code: 0 });
    // A crash: the Lease is held by nobody who lives.
    await fleet.operators[0]?.end('SIGKILL');
    await fleet.cluster.kubectlOk(['delete', 'namespace', namespace, '--wait=false']);

    expect(await release()).toMatchObject({ code: 0, stdout: 'released 1 Adapter\n' });
    await fleet.cluster.kubectlOk(['wait', '--for=delete', `namespace/${namespace}`, '--timeout=60s']);
    expect(await release()).toMatchObject({ code: 0, stdout: 'released 0 Adapters\n' });
  });
});
