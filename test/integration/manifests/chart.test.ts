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
  /** Former values, which pass here so that a template can say what to write. */
  readonly deprecated?: boolean;
};
const schema = JSON.parse(read('values.schema.json')) as Schema & {
  readonly $defs: Readonly<Record<string, Schema>>;
};
const resolved = (part: Schema): Schema =>
  part.$ref === undefined ? part : (schema.$defs[part.$ref.replace('#/$defs/', '')] ?? {});

const schemaPaths = (part: Schema, path: Path = []): Path[] => {
  const { properties } = resolved(part);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([key, child]) =>
    child.deprecated === true ? [] : schemaPaths(child, [...path, key]),
  );
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
  ['policy.sorces', {}, "invalid propertyName 'sorces'"],
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
  ['runtime.suffix', 'a.b', "at '/runtime/suffix': 'a.b' does not match"],
  [
    'runtime.model.type',
    'hostPath',
    'runtime.model.type is gone: in its place set runtime.model.source, with the source that you set',
  ],
  [
    'runtime.model.path',
    '/srv',
    'set runtime.model.source, with hostPath.path or persistentVolumeClaim.path',
  ],
  ['runtime.model.claim', 'models', 'set runtime.model.source, with persistentVolumeClaim.claimName'],
  [
    'runtime.model.source',
    { hostPath: { path: '/srv' }, persistentVolumeClaim: { claimName: 'models' } },
    'runtime.model.source has hostPath and persistentVolumeClaim: a base model comes from one place, keep one',
  ],
  [
    'runtime.model.source.oci.image',
    'registry.example/models/x',
    'runtime.model.source.oci needs both: image is HOST/REPO and digest is sha256:…',
  ],
  [
    'runtime.model.source.oci.image',
    'registry.example/models/x:v1',
    "at '/runtime/model/source/oci/image': 'registry.example/models/x:v1' does not match",
  ],
  [
    'runtime.model.source.oci.digest',
    'sha256:12',
    "'/runtime/model/source/oci/digest': 'sha256:12' does not",
  ],
  [
    'runtime.model.source.image',
    { path: 'x' },
    'runtime.model.source.image.path is set without runtime.model.source.image.reference',
  ],
  [
    'runtime.model.source.persistentVolumeClaim',
    { claimName: 'models', path: '/x' },
    'runtime.model.source.persistentVolumeClaim.path is "/x": a folder in a volume does not start with /',
  ],
  ['runtime.model.source.hostPath.path', 'x', "at '/runtime/model/source/hostPath/path': 'x' does not match"],
  [
    'runtime.model.source.hostPath.path',
    '/var/lib/adaptlet/m',
    'the base model lies in "/var/lib/adaptlet/m", and runtime.data.path "/var/lib/adaptlet" is what the runtime',
  ],
  ['runtime.model.disk', '4Gi', 'runtime.model.disk is the budget of models from a registry'],
  ['runtime.profiles', [{ nodeSelector: {} }], "at '/runtime/profiles/0': missing property 'name'"],
  [
    'runtime.profiles',
    [{ name: 'gpu', nodeSelctor: {} }],
    "at '/runtime/profiles/0': additional properties 'nodeSelctor' not allowed",
  ],
  [
    'runtime.profiles',
    [{ name: 'cpu' }, { name: 'gpu', nodeSelector: { gpu: 'yes' } }],
    'every node of "gpu" is one of "cpu" too, and would get two runtimes: give "cpu" a nodeSelector of its own',
  ],
  [
    'runtime.profiles',
    [
      { name: 'gpu', nodeSelector: { gpu: 'yes', zone: 'a' } },
      { name: 'wide', nodeSelector: { zone: 'a' } },
    ],
    'every node of "gpu" is one of "wide" too',
  ],
  [
    'runtime.profiles',
    [
      { name: 'gpu', nodeSelector: { gpu: 'a' } },
      { name: 'gpu', nodeSelector: { gpu: 'b' } },
    ],
    'runtime.profiles has two of the name "gpu"',
  ],
  [
    'runtime.profiles',
    [{ name: 'n'.repeat(60) }],
    'is longer than 63 characters, shorten the name of the profile',
  ],
  [
    'operator.external.address',
    'operator.example',
    "at '/operator/external/address': 'operator.example' does not",
  ],
  [
    'operator.external.service.type',
    'ExternalName',
    "'/operator/external/service/type': value must be one of",
  ],
  ['operator.devices.enabled', true, 'operator.devices.enabled needs operator.devices.address: host:port'],
  [
    'operator.devices.address',
    'devices.example',
    "at '/operator/devices/address': 'devices.example' does not",
  ],
  [
    'operator.devices',
    { enabled: true, address: '192.0.2.7:443', gateways: [{ name: 'edge' }] },
    'operator.devices.gateways leads by the name that a device dials',
  ],
  [
    'operator.gateway.pools',
    { tiny: 'edge' },
    'operator.gateway.pools needs operator.gateway.namespace: InferenceModelRewrites lie beside',
  ],
  ['runtime.gateways.objectives', { fast: 1001 }, "at '/runtime/gateways/objectives/fast'"],
  ['operator.nodeLabels', ['a b'], "at '/operator/nodeLabels/0': 'a b' does not match"],
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
  [
    'injection.ports.http',
    9000,
    'injection.ports: grpc, http and health listen side by side, give each a port',
  ],
  ['injection.ports.grpc', 70_000, "at '/injection/ports/grpc': maximum: got 70,000, want 65,535"],
  [
    'injection.model',
    {
      oci: { image: 'registry.example/m', digest: `sha256:${'0'.repeat(64)}` },
      image: { reference: 'registry.example/m:v1' },
    },
    'injection.model has oci and image: a base model comes from one place',
  ],
  [
    'runtime.tls',
    { operator: true, secret: 'tls' },
    'runtime.tls has operator and secret: a runtime shows one',
  ],
  [
    'operator.runtimeNames',
    Array.from({ length: 33 }, (_, index) => `n${index}.example`),
    "at '/operator/runtimeNames': maxItems: got 33, want 32",
  ],
  ['operator.runtimeNames', ['*.example'], "at '/operator/runtimeNames/0': '*.example' does not match"],
  ['injection.model.oci.image', 'registry.example/m', 'injection.model.oci needs both'],
  ['injection.model.image.path', 'int4', 'injection.model.image.path is set without injection.model.image'],
  ['injection.excludedNamespaces', ['A'], "at '/injection/excludedNamespaces/0': 'A' does not match"],
  ['networkPolicy.enabled', 'yes', "at '/networkPolicy/enabled': got string, want boolean"],
  [
    'metrics.serviceMonitor.interval',
    'often',
    "at '/metrics/serviceMonitor/interval': 'often' does not match",
  ],
  ['metrics.access', 'all', "at '/metrics/access': value must be one of 'token', 'everybody'"],
  [
    'metrics.serviceMonitor.enabled',
    true,
    'metrics.annotations and metrics.serviceMonitor.enabled need a Secret in metrics.token.secret',
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

  it('injects sidecars only where it brings the operator', async () => {
    const { code, stderr } = await render('--set', 'operator.enabled=false,injection.enabled=true');
    expect(code).toBe(1);
    expect(stderr).toContain('injection.enabled needs operator.enabled');
  });

  it('makes the policy of the cluster only where it brings the operator, and none by default', async () => {
    const policies = async (...args: string[]) =>
      (await render(...args)).stdout.match(/^kind: AdapterPolicy$/gm);
    expect(await policies()).toBeNull();
    expect(await policies('--set', 'policy.base=Deny')).toHaveLength(1);
    const { code, stderr } = await render('--set', 'operator.enabled=false,policy.base=Deny');
    expect(code).toBe(1);
    expect(stderr).toContain('policy needs operator.enabled');
  });

  it('lets profiles share a selector where an affinity keeps them apart', async () => {
    const apart = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'gpu', operator: 'DoesNotExist' }] }],
        },
      },
    };
    const profiles = [
      { name: 'cpu', affinity: apart },
      { name: 'gpu', nodeSelector: { gpu: 'yes' } },
    ];
    const { code, stdout } = await render('--set-json', `runtime.profiles=${JSON.stringify(profiles)}`);
    expect(code).toBe(0);
    expect(stdout.match(/^kind: DaemonSet$/gm)).toHaveLength(2);
  });

  it('says which API server has no image volumes, and what to use there', async () => {
    const image = ['--set', 'runtime.model.source.image.reference=registry.example/models/x:v1'];
    const { code, stderr } = await render(...image, '--kube-version', 'v1.32.9+k3s1');
    expect(code).toBe(1);
    expect(stderr).toContain(
      'runtime.model.source.image needs Kubernetes 1.33 and this is v1.32.9: set runtime.model.source.oci',
    );
    expect((await render(...image, '--kube-version', 'v1.33.0-rc.1')).code).toBe(0);
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
