import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { chart, helm, readValues, render } from './helm.ts';
import { leavesOf, only, type Path } from './paths.ts';

const read = (file: string): string => readFileSync(join(chart, file), 'utf8');
const defaults = readValues(join(chart, 'values.yaml'));

/** Paths as names. What is below `resources` is not ours. */
const namesOf = (paths: readonly Path[]): string[] => [
  ...new Set(paths.map((path) => path.join('.').replace(/resources\..*$/, 'resources')).toSorted()),
];

type Schema = {
  readonly $ref?: string;
  readonly type?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
};
const schema = JSON.parse(read('values.schema.json')) as Schema & {
  readonly $defs: Readonly<Record<string, Schema>>;
};
const resolved = (part: Schema): Schema =>
  part.$ref === undefined ? part : (schema.$defs[part.$ref.replace('#/$defs/', '')] ?? {});

const schemaPaths = (part: Schema, path: Path = []): Path[] => {
  const { properties } = resolved(part);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([key, child]) => schemaPaths(child, [...path, key]));
};

/** Maps with keys of ours that let others pass. */
const openMaps = (name: string, { properties, additionalProperties }: Schema): string[] => {
  if (properties === undefined) return [];
  const below = Object.entries(properties).flatMap(([key, child]) => openMaps(`${name}.${key}`, child));
  return additionalProperties === false ? below : [name, ...below];
};

/** The message of each bad value: what is wrong, and where. */
const refused: readonly [setting: string, value: unknown, message: string][] = [
  ['oprator.replicas', 2, "at '': additional properties 'oprator' not allowed"],
  ['runtime.modle.name', 'x', "at '/runtime': additional properties 'modle' not allowed"],
  ['operator.replicas', 0, "at '/operator/replicas': minimum: got 0, want 1"],
  ['operator.replicas', 'two', "at '/operator/replicas': got string, want integer"],
  ['operator.runtimeAccounts', ['sidecar'], "at '/operator/runtimeAccounts/0': 'sidecar' does not match"],
  [
    'image.pullPolicy',
    'Sometimes',
    "'/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
  ],
  ['image.digest', 'sha256:12', "at '/image/digest': 'sha256:12' does not match"],
  ['image.repository', 'adaptlet:1.0', "at '/image/repository': 'adaptlet:1.0' does not match"],
  ['runAsUser', 0, "at '/runAsUser': minimum: got 0, want 1"],
  ['logLevel', 'trace', "at '/logLevel': value must be one of 'debug', 'info', 'warn', 'error'"],
  ['runtime.name', 'Adaptlet', "at '/runtime/name': 'Adaptlet' does not match"],
  ['runtime.model.name', '', "at '/runtime/model/name': minLength: got 0, want 1"],
  [
    'runtime.model.type',
    'nfs',
    "'/runtime/model/type': value must be one of 'hostPath', 'persistentVolumeClaim'",
  ],
  ['runtime.model.type', 'persistentVolumeClaim', 'set runtime.model.claim to the name of the claim'],
  ['runtime.model.claim', 'models', 'set runtime.model.type to persistentVolumeClaim, or clear the claim'],
  ['runtime.model.path', 'models/x', 'runtime.model.path is "models/x": a hostPath starts with /'],
  ['runtime.model.path', '/var/lib/adaptlet/m', 'which the runtime alone owns: keep them apart'],
  [
    'runtime.model',
    { type: 'persistentVolumeClaim', claim: 'models', path: '/x' },
    'runtime.model.path is "/x": a folder in the volume of the claim does not start with /',
  ],
  ['runtime.data.path', 'data', "at '/runtime/data/path': 'data' does not match"],
  ['runtime.data.sizeLimit', '4Gi', 'a hostPath has no limit, runtime.adapters.disk is the budget'],
  ['runtime.adapters.memory', 'lots', "at '/runtime/adapters/memory': 'lots' does not match"],
  ['runtime.labels', { zone: 'a,b' }, "at '/runtime/labels/zone': 'a,b' does not match"],
  ['runtime.threads', 0, "at '/runtime/threads': minimum: got 0, want 1"],
  ['runtime.extraEnv', [{ value: 'x' }], "at '/runtime/extraEnv/0': missing property 'name'"],
  [
    'runtime.updateStrategy.maxUnavailable',
    0,
    "at '/runtime/updateStrategy/maxUnavailable': minimum: got 0, want 1",
  ],
  [
    'runtime.updateStrategy.maxUnavailable',
    '0%',
    "'/runtime/updateStrategy/maxUnavailable': '0%' does not match",
  ],
  ['networkPolicy.enabled', 'yes', "at '/networkPolicy/enabled': got string, want boolean"],
  [
    'metrics.serviceMonitor.interval',
    'often',
    "at '/metrics/serviceMonitor/interval': 'often' does not match",
  ],
];

describe('the Helm chart', () => {
  it('passes helm lint without a warning', async () => {
    const { code, stdout, stderr } = await helm(['lint', '--strict', chart]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('1 chart(s) linted, 0 chart(s) failed');
    expect(stdout).not.toMatch(/\[(WARNING|ERROR)\]/);
  });

  it('is of the version of the package', () => {
    expect(readValues(join(chart, 'Chart.yaml'))).toMatchObject({
      appVersion: packageJson.version,
      version: packageJson.version,
    });
  });

  it('explains every value in a comment above it', () => {
    const lines = read('values.yaml').split('\n');
    const bare = lines.filter((line, i) => /^\s*\w+:/.test(line) && !/^\s*#/.test(lines[i - 1] ?? ''));
    expect(bare).toEqual([]);
  });

  it('has a schema of exactly its values, and no other key passes', () => {
    const inSchema = namesOf(schemaPaths(schema)).filter((name) => name !== 'global');
    expect(inSchema).toEqual(namesOf(leavesOf(defaults)));

    const open = Object.entries({ values: schema, ...schema.$defs }).flatMap(([name, part]) =>
      openMaps(name, part),
    );
    expect(open).toEqual([]);
  });

  it.for(refused)('refuses %s = %j and says why', async ([setting, value, message]) => {
    const path = setting.split('.');
    const { code, stderr } = await render(
      '--set-json',
      `${path[0]}=${JSON.stringify(Object.values(only(path, value) as object)[0])}`,
    );
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it('refuses to install nothing', async () => {
    const { code, stderr } = await render('--set', 'operator.enabled=false,runtime.enabled=false');
    expect(code).toBe(1);
    expect(stderr).toContain(
      'operator.enabled and runtime.enabled are both false: nothing would be installed',
    );
  });

  it('says which API server is too old', async () => {
    const { code, stderr } = await helm(['template', 'adaptlet', chart, '--kube-version', 'v1.29.9+k3s1']);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.9',
    );
    const k3s = await helm(['template', 'adaptlet', chart, '--kube-version', 'v1.34.4+k3s1']);
    expect(k3s.code).toBe(0);
  });
});
