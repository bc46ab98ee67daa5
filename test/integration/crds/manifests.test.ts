import { describe, expect, it } from 'vitest';
import { parseManifests } from '../../../src/api/parse.ts';
import { adapterRows } from './adapter-manifests.ts';
import type { Row } from './manifests.ts';
import { metricRows } from './metric-manifests.ts';
import { policyRows } from './policy-manifests.ts';
import { rolloutRows } from './rollout-manifests.ts';
import { routeRows } from './route-manifests.ts';
import { runtimeRows } from './runtime-manifests.ts';
import { useCluster } from './use-cluster.ts';

const ready = useCluster();

const create = (text: string, ...args: string[]) => {
  const { cluster, namespace } = ready();
  return cluster.kubectlWith(
    { stdin: text },
    '-n',
    namespace,
    'create',
    '--dry-run=server',
    ...args,
    '-f',
    '-',
  );
};

const parse = (text: string) => {
  const { documents, problems } = parseManifests(text, 'x.yaml', { defaultNamespace: 'default' });
  return { spec: documents[0]?.manifest.spec, reasons: problems.map(({ reason }) => reason) };
};

const accepted = async ({ text }: Row): Promise<void> => {
  const { code, stdout, stderr } = await create(text, '-o', 'json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { spec, reasons } = parse(text);
  expect(reasons).toEqual([]);
  // Defaults and all: what the API server stores is what our parser makes of the file.
  expect((JSON.parse(stdout) as { spec: unknown }).spec).toEqual(spec);
};

const refusedByServer = async ({ text }: Row, says: string): Promise<void> => {
  const { code, stderr } = await create(text);
  expect(stderr).toContain(says);
  expect(code).not.toBe(0);
};

const tables: readonly (readonly [string, readonly Row[]])[] = [
  ['Adapter', adapterRows],
  ['AdapterRollout', rolloutRows],
  ['AdapterRollout with a metric', metricRows],
  ['AdapterRoute', routeRows],
  ['AdapterPolicy', policyRows],
  ['AdapterRuntime', runtimeRows],
];

describe.each(tables)('kubectl create of an %s', (_, rows) => {
  it.concurrent.each(rows.map((row) => [row.verdict, row.title, row] as const))(
    '%s: %s',
    async (_verdict, _title, row) => {
      switch (row.verdict) {
        case 'Accepted':
          return accepted(row);
        case 'Refused':
          await refusedByServer(row, row.says);
          return expect(parse(row.text).reasons).not.toEqual([]);
        case 'RefusedByParser':
          expect(parse(row.text).reasons).toEqual([expect.stringContaining(row.says)]);
          expect((await create(row.text)).code).toBe(0);
      }
    },
  );
});

it('has at least 80 manifests that are refused', () => {
  const refused = tables.flatMap(([, rows]) => rows).filter((row) => row.verdict === 'Refused');
  expect(refused.length).toBeGreaterThanOrEqual(80);
});
