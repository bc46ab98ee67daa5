import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Cluster, startCluster } from '../../cluster/index.ts';
import { tiny } from '../../support/node.ts';
import { repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { tool } from '../../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../../tools/registry-process.ts';
import { helm, manifestsOf } from './helm.ts';
import { runBlock, shellBlocks } from './shell-blocks.ts';

const [registryTool, oras] = [await tool('registry'), await tool('oras')];
const skipped = registryTool === undefined || oras === undefined;
const reason = skipped ? ' (SKIPPED: go is not installed, so registry and oras cannot be built)' : '';
const [pack = '', fill = '', install = '', adapters = '', ...more] = shellBlocks(
  'install-without-a-network.md',
);

describe.skipIf(skipped)(`docs/how-to/install-without-a-network.md${reason}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'adaptlet-air-gap-'));
  /** Where the commands run: a copy of what they need of the repository. */
  const work = join(folder, 'work');
  const programs = join(folder, 'programs');
  let cluster: Cluster;
  let online: RegistryProcess;
  let site: RegistryProcess;

  // oras speaks plain HTTP to this name.
  const named = ({ host }: RegistryProcess): string => host.replace('127.0.0.1', 'localhost');
  const push = async (image: string, source: string): Promise<void> => {
    const files = readdirSync(source).toSorted();
    const pushed = await runProgram(oras ?? '', ['push', image, ...files], { cwd: source });
    expect(pushed).toMatchObject({ code: 0 });
  };
  const run = async (block: string): Promise<string> => {
    const env = { ONLINE: named(online), SITE: named(site) };
    const result = await runBlock(cluster, block, { cwd: work, env, programs: [programs] });
    expect(result, block).toMatchObject({ code: 0 });
    return result.stdout;
  };

  beforeAll(async () => {
    mkdirSync(programs);
    symlinkSync(oras ?? '', join(programs, 'oras'));
    cpSync(join(repositoryRoot, 'charts'), join(work, 'charts'), { recursive: true });
    [cluster, online, site] = await Promise.all([
      startCluster({ controllerManager: true }),
      startRegistry(registryTool ?? ''),
      startRegistry(registryTool ?? ''),
    ]);
    await push(`${named(online)}/models/smollm2:int4`, join(tiny.root, 'adapters/upper'));
    await push(`${named(online)}/team-a/sql:v2`, join(tiny.root, 'adapters/reverse'));
  });
  afterAll(async () => {
    await Promise.all([online, site].map((registry) => registry?.[Symbol.asyncDispose]()));
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('packs the chart and the artifacts', async () => {
    expect(more).toEqual([]);
    await run(pack);
    expect(readdirSync(join(work, 'bundle')).toSorted()).toEqual([
      expect.stringMatching(/^adaptlet-.*\.tgz$/),
      'artifacts',
    ]);
  });

  it('fills the registry of the site, without the other one, under the same digests', async () => {
    const resolve = async (image: string): Promise<string> =>
      (await runProgram(oras ?? '', ['resolve', image])).stdout.trim();
    const before = await Promise.all(
      ['models/smollm2:int4', 'team-a/sql:v2'].map((image) => resolve(`${named(online)}/${image}`)),
    );
    await online[Symbol.asyncDispose]();
    const stdout = await run(fill);
    expect(stdout.split('\n').filter((line) => line.startsWith('sha256:'))).toEqual(before);
  });

  it('installs from the file, with the model of the site', async () => {
    await run(install);
    const env = await cluster.kubectlOk([
      '-n',
      'adaptlet-system',
      'get',
      'daemonset',
      'adaptlet-runtime',
      '-o',
      'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="ADAPTLET_MODEL")].value}',
    ]);
    expect(env).toMatch(/^oci:\/\/localhost:\d+\/models\/smollm2@sha256:[0-9a-f]{64}$/);
  });

  it('makes an Adapter that names the site and a digest', async () => {
    await run(adapters);
    const spec = await cluster.kubectlOk(['get', 'adapter', 'sql-v2', '-o', 'jsonpath={.spec}']);
    expect(JSON.parse(spec)).toMatchObject({
      source: { oci: { image: `${named(site)}/team-a/sql` } },
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
  });

  it('has a HelmChart for K3s that names the packed chart, with values that it takes', async () => {
    const [archive = ''] = readdirSync(join(work, 'bundle'));
    const text = readFileSync(join(repositoryRoot, 'examples/k3s/adaptlet.yaml'), 'utf8');
    const { spec } = parse(text) as {
      readonly spec: {
        readonly chart: string;
        readonly valuesContent: string;
        readonly targetNamespace: string;
      };
    };
    expect(basename(spec.chart)).toBe(archive);
    const file = join(work, 'bundle', archive);
    writeFileSync(join(work, 'values.yaml'), spec.valuesContent);
    const { code, stdout, stderr } = await helm([
      'template',
      'adaptlet',
      file,
      '-n',
      spec.targetNamespace,
      '--kube-version',
      'v1.34.4+k3s1',
      '-f',
      join(work, 'values.yaml'),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(manifestsOf(stdout).some(({ kind }) => kind === 'DaemonSet')).toBe(true);
  });
});
