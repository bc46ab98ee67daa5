import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster } from '../../cluster/index.ts';
import { adaptlet, kubectlAdaptlet } from '../../support/cli.ts';
import { clusterAdapter, digestOfFolder, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import type { ProgramResult } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

type Report = {
  readonly findings: readonly {
    readonly id: string;
    readonly level: string;
    readonly message: string;
    readonly fix?: string;
  }[];
  readonly problems: number;
};

let fleet: TestFleet;
/** Without a controller manager the test says what pods are there: an operator that runs as a process has none. */
beforeAll(async () => {
  const cluster = await startCluster();
  fleet = await TestFleet.start({ cluster, replicas: 1, runtimes: 2 });
  await fleet.apply(await clusterAdapter('upper', 'adapters/upper'));
  await fleet.apply(rolloutYaml('shout', 'upper', '{setWeight: 20}, {pause: {}}'));
  await waitFor('the rollout', async () => (await fleet.rollout('shout'))?.phase === 'Healthy');
  await status('deployment/adaptlet-operator', { replicas: 2, readyReplicas: 2, availableReplicas: 2 });
  const pods = { currentNumberScheduled: 2, desiredNumberScheduled: 2, updatedNumberScheduled: 2 };
  await status('daemonset/adaptlet-runtime', { ...pods, numberMisscheduled: 0, numberReady: 2 });
  await status('pdb/adaptlet-operator', {
    disruptionsAllowed: 1,
    expectedPods: 2,
    currentHealthy: 2,
    desiredHealthy: 1,
  });
  await create({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'adaptlet-operator',
      namespace: systemNamespace,
      labels: { 'kubernetes.io/service-name': 'adaptlet-operator' },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.1.2.3'], conditions: { ready: true } }],
    ports: [],
  });
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await fleet.cluster.close();
});

const create = (object: object) => fleet.cluster.kubectlOk(['apply', '-f', '-'], JSON.stringify(object));
const inSystem = (...args: readonly string[]) => fleet.cluster.kubectlOk(['-n', systemNamespace, ...args]);
const status = (what: string, to: object) =>
  inSystem('patch', what, '--subresource=status', '--type=merge', '-p', JSON.stringify({ status: to }));

const examine = (...args: readonly string[]): Promise<ProgramResult> => {
  const address = fleet.operators[0]?.grpc ?? '';
  const flags = ['--kubeconfig', fleet.cluster.kubeconfig, '--operator', address, '-o', 'json', ...args];
  return adaptlet('doctor', ...flags);
};
const report = async (...args: readonly string[]): Promise<Report> =>
  JSON.parse((await examine(...args)).stdout) as Report;
/** Waits until the finding is of this level, and gives it. */
const finds = (id: string, level: string, ...args: readonly string[]) =>
  waitFor(`${id} as ${level}`, async () =>
    (await report(...args)).findings.find((one) => one.id === id && one.level === level),
  );
const isWell = (id: string) => finds(id, 'ok');

describe('adaptlet doctor on a real API server', () => {
  it('finds nothing wrong with an installation that works', async () => {
    const well = await waitFor('a good report', async () => {
      const found = await report();
      return found.findings.every(({ level }) => level === 'ok') && found;
    }).catch(async () => report());
    expect(well.findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(well.findings.find(({ id }) => id === 'serving-certificate')?.message).toMatch(/^accepted, until/);
    const address = fleet.operators[0]?.grpc ?? '';
    const text = await kubectlAdaptlet(
      'doctor',
      '--kubeconfig',
      fleet.cluster.kubeconfig,
      '--operator',
      address,
    );
    expect(text).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/\nnothing is wrong\n$/),
    });
  });

  it('changes nothing', async () => {
    const versions = () =>
      inSystem('get', 'all,configmaps,secrets,pdb', '-o', 'jsonpath={.items[*].metadata.resourceVersion}');
    const before = await versions();
    await report();
    expect(await versions()).toBe(before);
  });

  it('names an adapter that a node refuses, with its code', async () => {
    const digest = await digestOfFolder('variants/broken-nan');
    await fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: broken}\nspec:\n  baseModel: tiny\n  source: {path: {path: variants/broken-nan}}\n  digest: ${digest}\n  preload: {tier: Memory}\n`,
    );
    const { message, fix } = await finds('adapters', 'problem');
    expect(message).toMatch(/Adapter \S+\/broken .*on node-\d: ADAPTER_/);
    expect(fix).toContain('errors.md');
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'ad', 'broken']);
    await isWell('adapters');
  });

  it('names a right that the operator lacks', async () => {
    const role = await inSystem('get', 'role', 'adaptlet-operator', '-o', 'json');
    const { rules } = JSON.parse(role) as { rules: { resources: string[] }[] };
    const without = rules.filter(({ resources }) => !resources.includes('secrets'));
    const patch = (to: unknown) =>
      inSystem('patch', 'role', 'adaptlet-operator', '--type=merge', '-p', JSON.stringify({ rules: to }));
    await patch(without);
    expect((await finds('operator-rights', 'problem')).message).toContain(
      'may not create secrets, get secrets/adaptlet-ca',
    );
    await patch(rules);
    await isWell('operator-rights');
  });

  it('names a CRD of another version, and one that is missing', async () => {
    const name = 'adapterroutes.adaptlet.io';
    const crd = (
      JSON.parse(await inSystem('get', 'crd', name, '-o', 'json')) as { spec: { versions: object[] } }
    ).spec;
    await inSystem(
      'patch',
      'crd',
      name,
      '--type=json',
      '-p',
      JSON.stringify([
        { op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema/description', value: 'old' },
      ]),
    );
    expect((await finds('crds', 'warning')).message).toContain(name);
    expect(crd.versions).toHaveLength(1);
    await inSystem('delete', 'crd', name);
    expect((await finds('crds', 'problem')).message).toBe(`the cluster lacks ${name}`);
    await fleet.cluster.installCrds();
    await isWell('crds');
  });

  it('names an authority of somebody else, also as seen from a node', async () => {
    const ca = join(fleet.folder, 'other.crt');
    await writeFile(ca, await readFile(fleet.cluster.caFile));
    const data = JSON.stringify({ data: { 'ca.crt': await readFile(ca, 'utf8') } });
    await inSystem('patch', 'configmap', 'adaptlet-ca', '--type=merge', '-p', data);
    const seen = await report();
    const problems = seen.findings.filter(({ level }) => level === 'problem').map(({ id }) => id);
    // The operator mends it within a minute; both are found in one look.
    expect(problems).toEqual(expect.arrayContaining(['authority', 'serving-certificate']));
    const node = await adaptlet('doctor', '--node', '-o', 'json', ...(await nodeFlags({ ca })));
    expect(node.code).toBe(1);
    const { findings } = JSON.parse(node.stdout) as Report;
    expect(findings.find(({ id }) => id === 'node-operator')).toMatchObject({
      level: 'problem',
      message: expect.stringContaining('is not trusted'),
    });
  });

  it('finds nothing wrong with a node that works, and names what is missing on another', async () => {
    const well = await adaptlet('doctor', '--node', '-o', 'json', ...(await nodeFlags({})));
    const { findings } = JSON.parse(well.stdout) as Report;
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.map(({ id }) => id)).toContain('node-clock');
    const broken = await adaptlet(
      'doctor',
      '--node',
      '-o',
      'json',
      ...(await nodeFlags({ token: '/nowhere/token', model: '/nowhere' })),
    );
    const found = (JSON.parse(broken.stdout) as Report).findings.filter(({ level }) => level === 'problem');
    expect(found.map(({ id }) => id)).toEqual(['node-model', 'node-token']);
  });

  it('names runtimes that are away and an operator that is away', async () => {
    await fleet.nodes[1]?.end('SIGKILL');
    expect((await finds('runtimes-connected', 'warning')).message).toMatch(
      /1 of 2 .*node-1 \(last seen \d+s ago\)/,
    );
    await fleet.operators[0]?.end('SIGKILL');
    await status('deployment/adaptlet-operator', { readyReplicas: 0, availableReplicas: 0 });
    await inSystem('delete', 'endpointslice', 'adaptlet-operator');
    const found = await waitFor('the end of the Lease', async () => {
      const { findings } = await report();
      return findings.find(({ id }) => id === 'operator-leader')?.level === 'problem' && findings;
    });
    const problems = found.filter(({ level }) => level === 'problem').map(({ id }) => id);
    expect(problems).toEqual(
      expect.arrayContaining(['operator-replicas', 'operator-leader', 'operator-service']),
    );
    expect((await examine()).code).toBe(1);
  });

  it('says what a viewer may not look at, and takes it for no problem of theirs', async () => {
    const kubeconfig = await fleet.cluster.serviceAccountKubeconfig({
      namespace: fleet.namespace,
      name: 'viewer',
    });
    const { findings } = JSON.parse(
      (await adaptlet('doctor', '--kubeconfig', kubeconfig, '-o', 'json')).stdout,
    ) as Report;
    const level = (id: string) => findings.find((one) => one.id === id)?.level;
    expect([level('api-server'), level('pods'), level('your-rights'), level('operator-rights')]).toEqual([
      'ok',
      'warning',
      'warning',
      'warning',
    ]);
  });

  it('says one thing when the API server does not answer', async () => {
    const kubeconfig = join(fleet.folder, 'nowhere.kubeconfig');
    const text = await readFile(fleet.cluster.kubeconfig, 'utf8');
    // Nothing listens on port 1.
    await writeFile(kubeconfig, text.replaceAll(fleet.cluster.server, 'https://127.0.0.1:1'));
    const { code, stdout } = await adaptlet('doctor', '--kubeconfig', kubeconfig);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^✖ api-server: .*ECONNREFUSED\n {4}fix: .*\n\n1 problem, 0 warnings; /);
    await rm(kubeconfig);
  });
});

/** What the container of node-0 has in its variables. */
const nodeFlags = async ({
  ca,
  token,
  model,
}: {
  readonly ca?: string;
  readonly token?: string;
  readonly model?: string;
}) => [
  '--data-dir',
  fleet.nodes[0]?.data ?? '',
  '--model',
  model ?? 'test/fixtures/models/tiny/model/onnx-fp32',
  '--operator-ca',
  ca ?? join(fleet.folder, 'ca.crt'),
  '--operator-token',
  token ?? join(fleet.folder, 'node-0.token'),
  '--operator',
  await fleet.door.addressOf('node-0'),
];
