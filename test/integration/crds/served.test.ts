import { describe, expect, it } from 'vitest';
import { analysisKind, crdOf, kinds, statusSchema, versionOf } from './kinds.ts';
import { fieldsOf, type Schema, sampleOf } from './sample.ts';
import { useCluster } from './use-cluster.ts';

const ready = useCluster();

/** Rows of kubectl's table: cells are found by the columns of the header, as an empty cell is only white space. */
const readTable = (text: string): { header: string[]; rows: Record<string, string>[] } => {
  const [first = '', ...lines] = text.trimEnd().split('\n');
  const columns = [...first.matchAll(/\S+/g)].map((match) => ({ name: match[0], start: match.index }));
  return {
    header: columns.map(({ name }) => name),
    rows: lines.map((line) =>
      Object.fromEntries(
        columns.map(({ name, start }, i) => [name, line.slice(start, columns[i + 1]?.start).trim()]),
      ),
    ),
  };
};

const expectedColumns = {
  Adapter: ['NAME', 'BASE', 'DIGEST', 'RESIDENT', 'FAILED', 'READY', 'AGE'],
  AdapterRollout: ['NAME', 'PHASE', 'STABLE', 'CANARY', 'STEP', 'WEIGHT', 'OBSERVED', 'READY', 'AGE'],
  AdapterRoute: ['NAME', 'MODEL', 'ACCEPTED', 'PROGRAMMED', 'READY', 'AGE'],
  AdapterRuntime: ['NAME', 'BASE', 'CONNECTED', 'READY', 'RESIDENT', 'AGE'],
} as const;

describe.each(kinds)('the CRD of $kind', ({ kind, short, spec }) => {
  it('is established, with its names accepted and a structural schema', async () => {
    const { status } = await crdOf(ready().cluster, kind);
    const conditions = Object.fromEntries(status.conditions.map((each) => [each.type, each.status]));
    expect(conditions).toMatchObject({ Established: 'True', NamesAccepted: 'True' });
    expect(status.conditions.filter((each) => each.type === 'NonStructuralSchema')).toEqual([]);
    expect(status.acceptedNames.shortNames).toEqual([short]);
    expect(status.acceptedNames.categories).toEqual(['adaptlet']);
  });

  it('shows something in every column once the status is known', async () => {
    const { cluster, namespace } = ready();
    const crd = await crdOf(cluster, kind);
    const object = { apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'shown' }, spec };
    await cluster.kubectlOk(['-n', namespace, 'create', '-f', '-'], JSON.stringify(object));
    const status = sampleOf(statusSchema(crd)) as { conditions: object[] };
    const [condition] = status.conditions;
    const asked = versionOf(crd).additionalPrinterColumns.flatMap(
      ({ jsonPath }) => /@\.type=="(\w+)"/.exec(jsonPath)?.[1] ?? [],
    );
    const conditions = [...new Set(asked)].map((type) => ({ ...condition, type }));
    const change = JSON.stringify({ status: { ...status, conditions } });
    const patch = ['-n', namespace, 'patch', short, 'shown', '--subresource=status', '--type=merge'];
    await cluster.kubectlOk([...patch, '-p', change]);

    const narrow = readTable(await cluster.kubectlOk(['-n', namespace, 'get', short]));
    expect(narrow.header).toEqual(expect.arrayContaining([...expectedColumns[kind]]));
    const wide = readTable(await cluster.kubectlOk(['-n', namespace, 'get', short, 'shown', '-o', 'wide']));
    expect(wide.header).toHaveLength(versionOf(crd).additionalPrinterColumns.length + 1);
    expect(Object.entries(wide.rows[0] ?? {}).filter(([, cell]) => cell === '')).toEqual([]);
  });

  it('is a manual: kubectl explain says something of every field', async () => {
    const { cluster } = ready();
    const path = '/openapi/v3/apis/adaptlet.io/v1alpha1';
    const served = JSON.parse(await cluster.kubectlOk(['get', '--raw', path])) as {
      components: { schemas: Record<string, Schema> };
    };
    const schema = served.components.schemas[`io.adaptlet.v1alpha1.${kind}`];
    const fields = ['spec', 'status'].flatMap((name) => {
      const field = schema?.properties?.[name];
      return field === undefined ? [] : [[name, field] as const, ...fieldsOf(field, name)];
    });
    expect(fields.length).toBeGreaterThan(5);
    const silent = fields.filter(([, { description = '' }]) => description.trim().split(/\s+/).length < 2);
    expect(silent.map(([at]) => at)).toEqual([]);
  });
});

it('the CRD of AdapterAnalysis shows what it says, has no status and describes every field', async () => {
  const { cluster, namespace } = ready();
  const { kind, short, spec } = analysisKind;
  const crd = await crdOf(cluster, kind);
  expect(crd.status.acceptedNames).toMatchObject({ shortNames: [short], categories: ['adaptlet'] });
  expect(crd.status.conditions.filter((each) => each.type === 'NonStructuralSchema')).toEqual([]);
  const object = { apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'shown' }, spec };
  await cluster.kubectlOk(['-n', namespace, 'create', '-f', '-'], JSON.stringify(object));
  const wide = readTable(await cluster.kubectlOk(['-n', namespace, 'get', short, 'shown', '-o', 'wide']));
  expect(wide.rows[0]).toMatchObject({
    DURATION: '5m',
    INCONCLUSIVE: 'Pause',
  });
  const fields = fieldsOf((versionOf(crd).schema.openAPIV3Schema.properties ?? {})['spec'] ?? {}, 'spec');
  expect(fields.length).toBeGreaterThan(30);
  expect(fields.filter(([, { description = '' }]) => description === '')).toEqual([]);
});

it('kubectl get adaptlet lists the objects of all kinds', async () => {
  const { cluster, namespace } = ready();
  const own = await cluster.createNamespace();
  expect(own).not.toBe(namespace);
  const all = [...kinds, analysisKind];
  for (const { kind, spec } of all) {
    const object = { apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'x' }, spec };
    await cluster.kubectlOk(['-n', own, 'create', '-f', '-'], JSON.stringify(object));
  }
  const names = (await cluster.kubectlOk(['-n', own, 'get', 'adaptlet', '-o', 'name'])).trim().split('\n');
  expect(names.toSorted()).toEqual(all.map(({ kind }) => `${kind.toLowerCase()}.adaptlet.io/x`).toSorted());
});

it('an AdapterPolicy is served without a status, by its short name', async () => {
  const { cluster } = ready();
  const own = await cluster.createNamespace();
  const spec = { base: 'Deny', limits: { adapterMemory: { limit: '1Gi' }, requests: { limit: 4 } } };
  const metadata = { name: 'default' };
  const object = {
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterPolicy',
    metadata,
    spec,
    status: { a: 1 },
  };
  await cluster.kubectlOk(['-n', own, 'create', '--validate=false', '-f', '-'], JSON.stringify(object));
  const stored = await cluster.kubectlOk(['-n', own, 'get', 'apol', 'default', '-o', 'json']);
  expect(JSON.parse(stored)).not.toHaveProperty('status');
  const { header, rows } = readTable(await cluster.kubectlOk(['-n', own, 'get', 'apol']));
  expect(header).toEqual(['NAME', 'ANONYMOUS', 'BASE', 'MEMORY', 'REQUESTS', 'AGE']);
  expect(rows).toMatchObject([{ ANONYMOUS: 'Deny', BASE: 'Deny', MEMORY: '1Gi', REQUESTS: '4' }]);
});

const lookedUp = [
  ['ad', 'An Adapter is one immutable adapter artifact for one base model, pinned by digest.'],
  ['ad.spec.source.oci.image', 'Example: registry.example/team-a/sql:v2'],
  ['ad.spec.preload.tier', 'None: on demand.'],
  ['ad.spec.validation.smokeTests.expect', 'Exactly one of contains, equals, regex.'],
  ['aro.spec.strategy.canary.steps.setWeight', 'Percent of requests for the canary, 0 to 100. Example: 20'],
  ['aro.status.weights.observedCanary', 'Percent of requests that the canary answered'],
  ['art.spec.rules.matches.headers.type', 'Regex: RE2, must match the whole value.'],
  ['art.spec.rules.perUser.source.oci.image', 'registry.example/team-a/users/{user}:current'],
  ['apol.spec.sources.registries', 'An empty list: none. Default: not limited.'],
  ['apol.spec.runtimes.pods', 'Default Deny.'],
  ['adr.status', 'Written by Adaptlet.'],
] as const;

it.each(lookedUp)('kubectl explain %s says what to write', async (field, says) => {
  const { code, stdout } = await ready().cluster.kubectl('explain', field);
  expect(code).toBe(0);
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain(says);
});
