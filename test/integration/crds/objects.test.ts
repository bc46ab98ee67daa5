import { describe, expect, it } from 'vitest';
import { crdOf, kinds, statusSchema } from './kinds.ts';
import { digest, otherDigest } from './manifests.ts';
import { sampleOf } from './sample.ts';
import { useCluster } from './use-cluster.ts';

const ready = useCluster();

type Stored = {
  readonly metadata: { readonly generation: number };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
};

const kubectl = (...args: string[]) => ready().cluster.kubectl('-n', ready().namespace, ...args);

const create = async (kind: string, name: string, spec: unknown, more: object = {}): Promise<void> => {
  const object = { apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name }, spec, ...more };
  await ready().cluster.kubectlOk(['-n', ready().namespace, 'create', '-f', '-'], JSON.stringify(object));
};

const read = async (kind: string, name: string): Promise<Stored> => {
  const args = ['-n', ready().namespace, 'get', kind.toLowerCase(), name, '-o', 'json'];
  return JSON.parse(await ready().cluster.kubectlOk(args)) as Stored;
};

const patch = (kind: string, name: string, change: unknown, ...args: string[]) =>
  kubectl('patch', kind.toLowerCase(), name, '--type=merge', '-p', JSON.stringify(change), ...args);

const apply = (manager: string, kind: string, name: string, fields: object, ...args: string[]) => {
  const object = { apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name }, ...fields };
  return ready().cluster.kubectlWith(
    { stdin: JSON.stringify(object) },
    '-n',
    ready().namespace,
    'apply',
    '--server-side',
    `--field-manager=${manager}`,
    ...args,
    '-f',
    '-',
  );
};

const sampleStatus = async (kind: (typeof kinds)[number]['kind']) =>
  sampleOf(statusSchema(await crdOf(ready().cluster, kind))) as Readonly<Record<string, unknown>>;

describe.each(kinds)('the status of an $kind', ({ kind, spec }) => {
  it('is dropped when an object is created', async () => {
    await create(kind, 'fresh', spec, { status: await sampleStatus(kind) });
    expect((await read(kind, 'fresh')).status).toBeUndefined();
  });

  it('changes only through the status subresource, which changes nothing else', async () => {
    await create(kind, 'two-ways', spec);
    const before = await read(kind, 'two-ways');
    const status = await sampleStatus(kind);

    await patch(kind, 'two-ways', { status });
    expect((await read(kind, 'two-ways')).status).toBeUndefined();

    const change = { spec: { adapter: 'other', model: 'other', baseModel: 'other' }, status };
    await patch(kind, 'two-ways', change, '--subresource=status');
    const after = await read(kind, 'two-ways');
    expect(after.status).toEqual(status);
    expect(after.spec).toEqual(before.spec);
    expect(after.metadata.generation).toBe(before.metadata.generation);
  });
});

const oci = (image: string) => ({ source: { oci: { image } } });
const advice = (field: string) =>
  `spec.${field} is immutable: create a new Adapter (for example sql-v3) and point the AdapterRollout at it`;
const base = { baseModel: 'tiny', ...oci('r.io/a:v1') };

/** `to` is the whole new spec. */
const changes: readonly (readonly [string, string, object, object])[] = [
  ['baseModel changes', 'baseModel', base, { ...base, baseModel: 'other' }],
  ['source changes', 'source', base, { ...base, ...oci('r.io/a:v2') }],
  ['source becomes another kind', 'source', base, { ...base, source: { path: { path: 'a' } } }],
  ['digest changes', 'digest', { ...base, digest }, { ...base, digest: otherDigest }],
  ['digest appears', 'digest', base, { ...base, digest }],
  ['digest goes away', 'digest', { ...base, digest }, base],
  [
    'baseModelDigests changes',
    'baseModelDigests',
    { ...base, baseModelDigests: [digest] },
    { ...base, baseModelDigests: [otherDigest] },
  ],
  ['baseModelDigests appears', 'baseModelDigests', base, { ...base, baseModelDigests: [digest] }],
  ['baseModelDigests goes away', 'baseModelDigests', { ...base, baseModelDigests: [digest] }, base],
  [
    'baseModelDigests changes its order',
    'baseModelDigests',
    { ...base, baseModelDigests: [digest, otherDigest] },
    { ...base, baseModelDigests: [otherDigest, digest] },
  ],
];

describe('what is immutable in an Adapter', () => {
  it.each(changes)('%s: kubectl replace is told what to do instead', async (what, field, from, to) => {
    const name = `replace-${what.toLowerCase().replaceAll(/\W+/g, '-')}`;
    await create('Adapter', name, from);
    const object = { apiVersion: 'adaptlet.io/v1alpha1', kind: 'Adapter', metadata: { name }, spec: to };
    const { cluster, namespace } = ready();
    const result = await cluster.kubectlWith(
      { stdin: JSON.stringify(object) },
      '-n',
      namespace,
      'replace',
      '-f',
      '-',
    );
    expect(result.stderr).toContain(advice(field));
    expect(result.code).not.toBe(0);
  });

  it.each(changes)('%s: server-side apply is told what to do instead', async (what, field, from, to) => {
    const name = `apply-${what.toLowerCase().replaceAll(/\W+/g, '-')}`;
    expect((await apply('team', 'Adapter', name, { spec: from })).code).toBe(0);
    const result = await apply('team', 'Adapter', name, { spec: to });
    expect(result.stderr).toContain(advice(field));
    expect(result.code).not.toBe(0);
    const { spec } = await read('Adapter', name);
    expect(spec).toMatchObject(from);
  });

  it('leaves the rest free to change', async () => {
    await create('Adapter', 'free', base);
    const spec = {
      priority: 7,
      pinned: true,
      preload: { tier: 'Disk' },
      validation: { allowNoEffect: true, maxLatency: '2s' },
    };
    expect((await patch('Adapter', 'free', { spec })).stderr).toBe('');
    expect((await read('Adapter', 'free')).spec).toMatchObject(spec);
  });
});

const steps = (...weights: number[]) => ({
  strategy: { canary: { steps: weights.map((setWeight) => ({ setWeight })) } },
});

describe('what a status never takes back', () => {
  const once = [
    {
      kind: 'Adapter',
      field: 'digest',
      spec: base,
      first: digest,
      bad: otherDigest,
      says: 'status.digest never changes once it is set: create a new Adapter for other content',
    },
    {
      kind: 'AdapterRollout',
      field: 'leaderEpoch',
      spec: { adapter: 'a' },
      first: 7,
      bad: 6,
      says: 'status.leaderEpoch never decreases: a later leader has decided already',
    },
  ] as const;

  it.each(once)('$field of an $kind', async ({ kind, field, spec, first, bad, says }) => {
    await create(kind, 'once', spec);
    const status = await sampleStatus(kind);
    const change = (to: unknown) => patch(kind, 'once', { status: to }, '--subresource=status');
    expect((await change({ ...status, [field]: first })).stderr).toBe('');
    expect((await change({ [field]: bad })).stderr).toContain(says);
    expect((await change({ [field]: null })).stderr).toContain(says);
    expect((await change(null)).stderr).toContain(says);
    expect((await read(kind, 'once')).status?.[field]).toBe(first);
  });

  it('leaves the epoch of the leader free to grow', async () => {
    await create('AdapterRollout', 'epoch', { adapter: 'a' });
    const status = await sampleStatus('AdapterRollout');
    for (const leaderEpoch of [1, 1, 5]) {
      const change = { status: { ...status, leaderEpoch } };
      expect((await patch('AdapterRollout', 'epoch', change, '--subresource=status')).stderr).toBe('');
    }
  });
});

describe('two field managers', () => {
  it('conflict over a field, and kubectl names the field and the other manager', async () => {
    await apply('gitops', 'AdapterRollout', 'conflict', { spec: { adapter: 'sql-v1' } });
    const result = await apply('team', 'AdapterRollout', 'conflict', { spec: { adapter: 'sql-v2' } });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain('Apply failed with 1 conflict: conflict with "gitops": .spec.adapter');
    expect((await read('AdapterRollout', 'conflict')).spec['adapter']).toBe('sql-v1');

    const forced = await apply(
      'team',
      'AdapterRollout',
      'conflict',
      { spec: { adapter: 'sql-v2' } },
      '--force-conflicts',
    );
    expect(forced.code).toBe(0);
  });

  it('share an object when they own different fields of it', async () => {
    await apply('gitops', 'AdapterRollout', 'shared', { spec: { adapter: 'sql-v1' } });
    // A patch owns what it changes: an operator on call may pause without a conflict.
    expect((await patch('AdapterRollout', 'shared', { spec: { paused: true } })).code).toBe(0);
    expect((await apply('gitops', 'AdapterRollout', 'shared', { spec: { adapter: 'sql-v2' } })).code).toBe(0);
    expect((await read('AdapterRollout', 'shared')).spec).toMatchObject({ adapter: 'sql-v2', paused: true });
  });

  it('cannot mix their steps: the list is one value', async () => {
    await apply('gitops', 'AdapterRollout', 'steps', { spec: { adapter: 'a', ...steps(5, 50) } });
    const result = await apply('team', 'AdapterRollout', 'steps', {
      spec: { adapter: 'a', ...steps(5, 20, 50) },
    });
    expect(result.stderr).toContain('conflict with "gitops": .spec.strategy.canary.steps\n');
  });

  it('cannot mix their rules nor their targets: the list is one value', async () => {
    const spec = (weight: number) => ({
      model: 'm',
      rules: [{ name: 'r', targets: [{ rollout: 'a', weight }] }],
    });
    await apply('gitops', 'AdapterRoute', 'rules', { spec: spec(1) });
    const result = await apply('team', 'AdapterRoute', 'rules', { spec: spec(2) });
    expect(result.stderr).toContain('conflict with "gitops": .spec.rules\n');
  });

  it('each have smoke tests of their own in an Adapter, by name', async () => {
    const test = (name: string, contains: string) => ({
      spec: { ...base, validation: { smokeTests: [{ name, prompt: 'p', expect: { contains } }] } },
    });
    const names = async () => {
      const { validation } = (await read('Adapter', 'smoke')).spec as {
        validation: { smokeTests: { name: string }[] };
      };
      return validation.smokeTests.map(({ name }) => name);
    };
    await apply('gitops', 'Adapter', 'smoke', test('select', 'SELECT'));
    expect((await apply('team', 'Adapter', 'smoke', test('insert', 'INSERT'))).stderr).not.toContain(
      'conflict',
    );
    expect(await names()).toEqual(['select', 'insert']);
    const other = await apply('team', 'Adapter', 'smoke', test('select', 'other'));
    expect(other.stderr).toContain('.spec.validation.smokeTests[name="select"].expect.contains');
    await apply('team', 'Adapter', 'smoke', { spec: base });
    expect(await names()).toEqual(['select']);
  });

  it('each have conditions of their own in a status, by type', async () => {
    await create('Adapter', 'conditions', base);
    const status = await sampleStatus('Adapter');
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'Test',
      message: '',
      lastTransitionTime: '2026-01-02T03:04:05Z',
    });
    const first = { status: { ...status, conditions: [condition('Ready')] } };
    expect((await apply('a', 'Adapter', 'conditions', first, '--subresource=status')).stderr).not.toContain(
      'rror',
    );
    const second = { status: { conditions: [condition('Audited')] } };
    expect((await apply('b', 'Adapter', 'conditions', second, '--subresource=status')).stderr).not.toContain(
      'rror',
    );
    const stored = (await read('Adapter', 'conditions')).status as { conditions: { type: string }[] };
    expect(stored.conditions.map(({ type }) => type)).toEqual(['Ready', 'Audited']);
  });
});

describe('the largest objects', () => {
  const many = <T>(count: number, of: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => of(i));

  it('an AdapterRoute at all its bounds passes its rules within the budget of the API server', async () => {
    const headers = many(16, (i) => ({ name: `h${i}`.padEnd(16, 'x'), type: 'Regex', value: '(a|b)*c' }));
    const rule = (i: number) => ({
      name: `rule-${i}`.padEnd(63, 'x'),
      matches: many(16, () => ({ headers, user: { in: ['u'] }, tenant: { in: ['t'] } })),
      targets: many(16, () => ({ rollout: 's'.repeat(253) })),
      fallback: many(8, () => ({ base: true })),
    });
    await create('AdapterRoute', 'largest', { model: 'm', rules: many(64, rule) });
  });

  it('an Adapter with 16 smoke tests of the longest prompts passes', async () => {
    const smokeTests = many(16, (i) => ({
      name: `t${i}`,
      prompt: 'p'.repeat(16_384),
      expect: { regex: 'x'.repeat(512) },
    }));
    await create('Adapter', 'largest', { ...base, validation: { smokeTests } });
  });
});
