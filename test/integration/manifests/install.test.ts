import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../../cluster/index.ts';
import type { ProgramResult } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { chart, helm, manifestsOf, namespace, render, valueSets, valuesFile } from './helm.ts';
import { runJobPod } from './job-pod.ts';

const folder = mkdtempSync(join(tmpdir(), 'adaptlet-install-'));
let cluster: Cluster;

beforeAll(async () => {
  // Image volumes are off in 1.34: values/model-in-image.yaml needs them.
  const apiServerFlags = ['--feature-gates=ImageVolume=true'];
  cluster = await startCluster({ controllerManager: true, apiServerFlags });
  await cluster.kubectlOk(['create', 'namespace', namespace]);
  // The controller of DaemonSets makes a pod for it; no kubelet runs, so nothing starts.
  await cluster.kubectlWith(
    { stdin: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'edge-1' } }) },
    'create',
    '-f',
    '-',
  );
  await cluster.kubectlOk(['taint', 'node', 'edge-1', 'node.kubernetes.io/not-ready-']);
});
afterAll(async () => {
  await cluster?.close();
  rmSync(folder, { recursive: true, force: true });
});

const onCluster = (...args: readonly string[]): Promise<ProgramResult> => helm(args, cluster.kubeconfig);
const inNamespace = ['-n', namespace];
const withPolicy = ['--set', 'policy.base=Deny'];

/** Success, and nothing that the API server warns of. */
const expectClean = ({ code, stderr }: ProgramResult): void =>
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });

const adapter = JSON.stringify({
  apiVersion: 'adaptlet.io/v1alpha1',
  kind: 'Adapter',
  metadata: { name: 'kept', namespace: 'default' },
  spec: { baseModel: 'smollm2-135m', source: { oci: { image: 'registry.example/sql:v1' } } },
});

const exists = async (...what: readonly string[]): Promise<boolean> =>
  (await cluster.kubectl('get', ...what)).code === 0;

describe('before anything is installed', () => {
  // Those that credentials.namespaces and operator.gateway name: Roles are made in them.
  beforeAll(async () => {
    for (const name of ['team-a', 'team-b', 'gateways'])
      await cluster.kubectlOk(['create', 'namespace', name]);
  });
  it.for(valueSets)('the API server accepts what the chart renders with values/%s.yaml', async (set) => {
    const { stdout } = await render('-f', valuesFile(set));
    // The CRDs of two belong to the Prometheus operator, that of the third to the Gateway API; the fourth is of a kind that comes with the chart.
    const foreign = ['ServiceMonitor', 'PrometheusRule', 'TLSRoute', 'AdapterPolicy'];
    const known = manifestsOf(stdout).filter(({ kind }) => !foreign.includes(kind));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: known });
    expectClean(await cluster.kubectlWith({ stdin: list }, 'apply', '--dry-run=server', '-f', '-'));
  });
});

describe('a Helm release', () => {
  it('takes no policy before its kind is there, and says what to do', async () => {
    const { code, stderr } = await onCluster('install', 'adaptlet', chart, ...inNamespace, ...withPolicy);
    expect(code).toBe(1);
    expect(stderr).toContain('run it once without policy, then again with it');
    expect(await exists('crd', 'adapters.adaptlet.io')).toBe(false);
  });

  it('upgrades the CRDs of an older one and makes every object of its manifest', async () => {
    const older = join(folder, 'older');
    cpSync(chart, older, { recursive: true });
    const file = join(older, 'files/crds/adaptlet.io_adapters.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('- name: Resident\n', '- name: Old\n'));
    expectClean(await onCluster('install', 'adaptlet', older, ...inNamespace));
    const columns = [
      'get',
      'crd',
      'adapters.adaptlet.io',
      '-o',
      'jsonpath={..additionalPrinterColumns[*].name}',
    ];
    expect(await cluster.kubectlOk(columns)).toContain('Old');

    expectClean(await onCluster('upgrade', 'adaptlet', chart, ...inNamespace));
    expect(await cluster.kubectlOk(columns)).toContain('Resident');
    const { stdout } = await onCluster('get', 'manifest', 'adaptlet', ...inNamespace);
    const made = await cluster.kubectlOk(['get', '-o', 'name', '-f', '-'], stdout);
    expect(made.trim().split('\n')).toHaveLength(24);
  });

  it('gives the next two commands', async () => {
    const { stdout } = await onCluster('get', 'notes', 'adaptlet', ...inNamespace);
    expect(stdout).toContain('kubectl -n adaptlet-system rollout status deployment/adaptlet-operator');
    expect(stdout).toContain('kubectl -n adaptlet-system get adapterruntimes');
    expect(stdout).toContain('Each node needs the base model in /var/lib/adaptlet-models/smollm2-135m.');
  });

  it('gives commands that name what there is, also with profiles', async () => {
    const values = ['-f', valuesFile('profiles'), '--dry-run=client'];
    const { stdout } = await onCluster('upgrade', 'adaptlet', chart, ...inNamespace, ...values);
    const [, made = '', notes = ''] = /MANIFEST:\n([\s\S]*)\nNOTES:\n([\s\S]*)/.exec(stdout) ?? [];
    const names = manifestsOf(made).map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
    const named = notes.match(/\b(?:deployment|daemonset|service)\/[\w-]+/g);
    expect(named).toHaveLength(2);
    expect(names).toEqual(expect.arrayContaining(named ?? []));
  });

  it('gives a request over TLS, and the authority that verifies it, where the operator certifies runtimes', async () => {
    const set = ['--set', 'runtime.tls.operator=true', '--dry-run=client'];
    const { stdout } = await onCluster('upgrade', 'adaptlet', chart, ...inNamespace, ...set);
    const [, notes = ''] = stdout.split('\nNOTES:\n');
    expect(notes).toContain(
      "kubectl -n adaptlet-system get configmap adaptlet-ca -o 'jsonpath={.data.ca\\.crt}' > ca.crt",
    );
    expect(notes).toContain(
      'curl --cacert ca.crt https://adaptlet-runtime.adaptlet-system:8080/v1/completions',
    );
  });

  it('has pods that the API server admits: two replicas, and a runtime for the node', async () => {
    const pods = ['get', 'pods', ...inNamespace, '-o', 'jsonpath={.items[*].spec.serviceAccountName}'];
    await waitFor('the pods', async () => {
      const accounts = (await cluster.kubectlOk(pods)).split(' ').toSorted();
      return accounts.join(' ') === 'adaptlet-operator adaptlet-operator adaptlet-runtime';
    });
  });

  it('changes with its values', async () => {
    expectClean(
      await onCluster('upgrade', 'adaptlet', chart, ...inNamespace, '--set', 'operator.replicas=3'),
    );
    const replicas = [
      'get',
      'deployment',
      'adaptlet-operator',
      ...inNamespace,
      '-o',
      'jsonpath={.spec.replicas}',
    ];
    expect(await cluster.kubectlOk(replicas)).toBe('3');
  });

  it('makes and takes back the policy of the cluster', async () => {
    const policy = ['apol', 'default', ...inNamespace] as const;
    expectClean(await onCluster('upgrade', 'adaptlet', chart, ...inNamespace, ...withPolicy));
    expect(await exists(...policy)).toBe(true);
    expectClean(await onCluster('upgrade', 'adaptlet', chart, ...inNamespace, '--reset-values'));
    expect(await exists(...policy)).toBe(false);
  });

  it('leaves no room for a second operator', async () => {
    const second = [
      'install',
      'second',
      chart,
      '-n',
      'second',
      '--create-namespace',
      '--set',
      'crds.install=false',
    ];
    const { code, stderr } = await onCluster(...second);
    expect(code).toBe(1);
    expect(stderr).toMatch(/ClusterRole "adaptlet-\w+" in namespace "" exists and cannot be imported/);
  });

  it('has room for a second base model', async () => {
    expectClean(await onCluster('install', 'phi', chart, ...inNamespace, '-f', valuesFile('second-model')));
    expect(await exists('daemonset', 'adaptlet-runtime', 'adaptlet-runtime-phi', ...inNamespace)).toBe(true);
    const { stdout: notes } = await onCluster('get', 'notes', 'phi', ...inNamespace);
    const [, look = ''] = /kubectl (.* rollout status .*)/.exec(notes) ?? [];
    const said = await cluster.kubectlOk([...look.split(' '), '--watch=false']);
    expect(said).toContain('"adaptlet-runtime-phi"');
    expectClean(await onCluster('uninstall', 'phi', ...inNamespace));
  });

  it('is uninstalled without its CRDs and what is of their kinds, and comes back to them', async () => {
    await cluster.kubectlOk(['apply', '-f', '-'], adapter);
    const [{ code, stdout }, job] = await Promise.all([
      onCluster('uninstall', 'adaptlet', ...inNamespace),
      runJobPod(cluster, namespace, 'adaptlet-release-adapters'),
    ]);
    expect({ code, job }).toMatchObject({ code: 0, job: { code: 0 } });
    expect(stdout).toContain('[CustomResourceDefinition] adapters.adaptlet.io');
    expect(await cluster.kubectlOk(['get', 'adapters', '-A', '-o', 'name'])).toBe(
      'adapter.adaptlet.io/kept\n',
    );
    const rest = 'deployment,daemonset,service,poddisruptionbudget,role,rolebinding';
    await waitFor('everything else to go', async () => {
      const left = await cluster.kubectlOk(['get', rest, ...inNamespace, '-o', 'name']);
      const roles = await cluster.kubectlOk(['get', 'clusterrole,clusterrolebinding', '-o', 'name']);
      return left === '' && !roles.includes('adaptlet');
    });

    expectClean(await onCluster('install', 'adaptlet', chart, ...inNamespace));
    expect(await cluster.kubectlOk(['get', 'adapters', '-A', '-o', 'name'])).toBe(
      'adapter.adaptlet.io/kept\n',
    );
  });
});

describe('rights of the installed', () => {
  const can = async (account: string, ...request: readonly string[]): Promise<boolean> => {
    const user = `--as=system:serviceaccount:${account}`;
    const { stdout } = await cluster.kubectl('auth', 'can-i', user, ...request);
    return stdout.trim() === 'yes';
  };
  const operator = `${namespace}:adaptlet-operator`;
  const runtime = `${namespace}:adaptlet-runtime`;

  it.for([
    ['list', 'adapters', '-A'],
    ['watch', 'adapterrollouts', '-A'],
    ['patch', 'adapters', '-n', 'default'],
    ['update', 'adapterroutes', '--subresource=status', '-n', 'default'],
    ['create', 'adapterruntimes', ...inNamespace],
    ['create', 'events.events.k8s.io', '-n', 'default'],
    ['create', 'tokenreviews'],
    ['get', 'namespaces/kube-system'],
    ['get', 'customresourcedefinitions/adapters.adaptlet.io'],
    ['create', 'leases', ...inNamespace],
    ['update', 'leases/adaptlet-operator', ...inNamespace],
    ['get', 'secrets/adaptlet-ca', ...inNamespace],
    ['get', 'secrets/adaptlet-sessions', ...inNamespace],
    ['update', 'configmaps/adaptlet-ca', ...inNamespace],
  ])('let the operator %s %s', async (request) => {
    expect(await can(operator, ...request)).toBe(true);
  });

  it.for([
    ['delete', 'adapters', '-A'],
    ['update', 'adapters', '-n', 'default'],
    ['delete', 'adapterruntimes', ...inNamespace],
    ['list', 'namespaces'],
    ['get', 'nodes'],
    ['get', 'pods', ...inNamespace],
    ['get', 'secrets/other', ...inNamespace],
    ['list', 'secrets', ...inNamespace],
    ['get', 'secrets/adaptlet-ca', '-n', 'default'],
    ['create', 'configmaps', '-n', 'default'],
    ['get', 'configmaps/adaptlet-ca', '-n', 'default'],
    ['get', 'mutatingwebhookconfigurations/adaptlet-sidecar'],
    ['update', 'leases/other', ...inNamespace],
    ['get', 'customresourcedefinitions/other.example.com'],
    ['update', 'customresourcedefinitions/adapters.adaptlet.io'],
  ])('do not let the operator %s %s', async (request) => {
    expect(await can(operator, ...request)).toBe(false);
  });

  it('give the runtime nothing', async () => {
    const other = await cluster.kubectlOk([
      'auth',
      'can-i',
      '--list',
      ...inNamespace,
      `--as=system:serviceaccount:${namespace}:none`,
    ]);
    const its = await cluster.kubectlOk([
      'auth',
      'can-i',
      '--list',
      ...inNamespace,
      `--as=system:serviceaccount:${runtime}`,
    ]);
    const lines = (text: string): string[] => text.split('\n').toSorted();
    expect(lines(its)).toEqual(lines(other));
    expect(await can(runtime, 'get', 'configmaps/adaptlet-ca', ...inNamespace)).toBe(false);
  });

  it('let people who view or edit a namespace do so with our kinds', async () => {
    for (const role of ['view', 'edit']) {
      const account = `--serviceaccount=default:${role}er`;
      await cluster.kubectlOk([
        'create',
        'rolebinding',
        role,
        `--clusterrole=${role}`,
        account,
        '-n',
        'default',
      ]);
    }
    await waitFor('the aggregation of roles', () =>
      can('default:editer', 'create', 'adapters', '-n', 'default'),
    );
    expect(await can('default:viewer', 'list', 'adapterrollouts', '-n', 'default')).toBe(true);
    expect(await can('default:viewer', 'create', 'adapters', '-n', 'default')).toBe(false);
    expect(await can('default:editer', 'create', 'adapterruntimes', '-n', 'default')).toBe(false);
    expect(await can('default:editer', 'patch', 'adapterruntimes', '-n', 'default')).toBe(true);
  });

  it('let them read the policy that binds them, and write none', async () => {
    for (const account of ['default:viewer', 'default:editer']) {
      expect(await can(account, 'list', 'adapterpolicies', '-n', 'default')).toBe(true);
      for (const verb of ['create', 'update', 'patch', 'delete'])
        expect(await can(account, verb, 'adapterpolicies', '-n', 'default')).toBe(false);
    }
  });
});
