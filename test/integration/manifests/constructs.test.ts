import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { App, Chart } from 'cdk8s';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter, AdapterPolicy, AdapterRollout, type AdapterRolloutProps } from '../../../cdk8s/index.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { manifestsOf, nameOf } from './helm.ts';

const example = join(repositoryRoot, 'examples/cdk8s/main.ts');
const modules = join(repositoryRoot, 'node_modules');
const folder = folderOfTests();

/** An app beside a node_modules that has the package as npm unpacks it, and what the package says that it needs. */
const app = join(folder, 'app');
const writeApp = (name: string, text: string): string => {
  const file = join(app, name);
  writeFileSync(file, text);
  return file;
};
const link = (name: string): void => {
  const place = join(app, 'node_modules', name);
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(join(modules, name), place);
};
const fromPackage = readFileSync(example, 'utf8').replace('../../cdk8s/index.ts', 'adaptlet-cdk8s');
const synth = (file: string): Promise<ProgramResult> =>
  runProgram('node', [file], { cwd: app, env: { CDK8S_OUTDIR: join(folder, 'out') } });
const check = (file: string): Promise<ProgramResult> =>
  runProgram(join(modules, '.bin/tsc'), ['--noEmit', '--strict', '--module', 'nodenext', file], { cwd: app });

beforeAll(async () => {
  const packed = await runProgram('node', ['scripts/manifests-package.ts', folder]);
  expect(packed).toMatchObject({ code: 0 });
  const unpacked = join(app, 'node_modules/adaptlet-cdk8s');
  mkdirSync(unpacked, { recursive: true });
  const archive = join(folder, `adaptlet-cdk8s-${packageJson.version}.tgz`);
  await runProgram('tar', ['-xzf', archive, '--strip-components=1', '-C', unpacked]);
  const { dependencies, peerDependencies } = JSON.parse(
    readFileSync(join(unpacked, 'package.json'), 'utf8'),
  ) as Readonly<Record<'dependencies' | 'peerDependencies', Readonly<Record<string, string>>>>;
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) link(name);
  writeApp('package.json', JSON.stringify({ type: 'module' }));
});

describe('the constructs', () => {
  it('refuse what no type can, when they are made, with the words of lint', () => {
    const chart = new Chart(new App(), 'team-a', { namespace: 'team-a' });
    const spec = { adapter: 'sql-v2', strategy: { canary: { steps: [{ setWeight: 500 }] } } };
    expect(() => new AdapterRollout(chart, 'sql', { metadata: { name: 'sql' }, spec })).toThrow(
      'AdapterRollout sql (team-a/sql) is not valid:\n  spec.strategy.canary.steps[0].setWeight: must be at most 100',
    );
    const both = { oci: { image: 'registry.example/sql:v1' }, path: { path: 'sql' } };
    expect(() => new Adapter(chart, 'a', { spec: { baseModel: 'tiny', source: both } })).toThrow(
      /spec\.source: .*exactly one/,
    );
  });

  it('make the one policy of a namespace, whose name is given', () => {
    const chart = new Chart(new App(), 'team-a', { namespace: 'team-a' });
    const policy = new AdapterPolicy(chart, 'policy', { spec: { base: 'Deny' } });
    expect(policy.toJson()).toMatchObject({ kind: 'AdapterPolicy', metadata: { name: 'default' } });
    expect(() => new AdapterPolicy(chart, 'other', { metadata: { name: 'mine' }, spec: {} })).toThrow(
      'metadata.name: must be default: a namespace has one policy',
    );
  });

  it('have types that refuse a field that is not there and a value of another type', () => {
    const spec: AdapterRolloutProps['spec'] = { adapter: 'sql-v2' };
    expect(spec).toEqual({ adapter: 'sql-v2' });
    // @ts-expect-error: a name
    const number: AdapterRolloutProps['spec'] = { adapter: 2 };
    // @ts-expect-error: adapter
    const misspelled: AdapterRolloutProps['spec'] = { adaptr: 'sql-v2' };
    expect([number, misspelled]).toHaveLength(2);
  });
});

describe('an app that has them from the package', () => {
  let cluster: Cluster;
  let namespace: string;
  beforeAll(async () => {
    cluster = await sharedCluster();
    namespace = await cluster.createNamespace('team');
  });

  it('is synthesised by plain node, and the API server takes what comes out', async () => {
    const file = writeApp('main.ts', fromPackage.replaceAll(`'team-a'`, `'${namespace}'`));
    expect(await synth(file)).toEqual({ code: 0, stdout: '', stderr: '' });
    const text = readFileSync(join(folder, 'out', `${namespace}.k8s.yaml`), 'utf8');
    expect(manifestsOf(text).map(nameOf)).toEqual([
      'Adapter sql-v1',
      'Adapter sql-v2',
      'AdapterRollout sql',
      'AdapterRoute assistant',
    ]);
    const { code, stdout, stderr } = await cluster.kubectlWith(
      { stdin: text },
      'apply',
      '--server-side',
      '-f',
      '-',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.match(/serverside-applied/g)).toHaveLength(4);
  });

  it('is of types that tsc accepts', async () => {
    expect(await check(writeApp('good.ts', fromPackage))).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('is refused by tsc where a field is misspelled', async () => {
    const bad = writeApp('bad.ts', fromPackage.replace('maxErrorRatio', 'maxErrorRate'));
    const { code, stdout } = await check(bad);
    expect(code).not.toBe(0);
    expect(stdout).toMatch(/bad\.ts\(\d+,\d+\): error TS2561: .*'maxErrorRate' does not exist/);
  });

  it('is refused by node where a value is out of its range, and writes nothing', async () => {
    const bad = writeApp('range.ts', fromPackage.replace('[5, 25, 50]', '[5, 25, 500]'));
    rmSync(join(folder, 'out'), { recursive: true, force: true });
    const { code, stderr } = await synth(bad);
    expect(code).toBe(1);
    expect(stderr).toContain('spec.strategy.canary.steps[4].setWeight: must be at most 100');
    expect(() => readFileSync(join(folder, 'out/team-a.k8s.yaml'))).toThrow('ENOENT');
  });
});
