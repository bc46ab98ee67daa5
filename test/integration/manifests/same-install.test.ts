import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chartFiles } from '../../../cdk8s/chart-files.ts';
import { runProgram } from '../../support/program.ts';
import { chart, type Manifest, manifestsOf, nameOf, rendered } from './helm.ts';

const folder = mkdtempSync(join(tmpdir(), 'adaptlet-synth-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cdk8s = join(import.meta.dirname, '../../../node_modules/.bin/cdk8s');

/** Without what only Helm says; what is empty is not there. */
const normal = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  const helms = ['helm.sh/chart', 'helm.sh/resource-policy', 'app.kubernetes.io/managed-by'];
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !helms.includes(key))
      .map(([key, child]) => [key, normal(child)] as const)
      .filter(([key, child]) => key !== 'annotations' || Object.keys(child as object).length > 0),
  );
};

const byName = (manifests: readonly Manifest[]): Record<string, unknown> =>
  Object.fromEntries(manifests.map((manifest) => [nameOf(manifest), normal(manifest)]));

describe('the install as code', () => {
  it('renders offline, and is what the chart renders with its defaults', async () => {
    const synth = await runProgram(cdk8s, ['synth', '--check-upgrade=false', '--output', folder]);
    expect(synth).toMatchObject({ code: 0 });
    const code = byName(manifestsOf(readFileSync(join(folder, 'adaptlet.k8s.yaml'), 'utf8')));
    const helm = byName(await rendered());
    expect(Object.keys(helm).toSorted()).toEqual(Object.keys(code).toSorted());
    expect(Object.keys(code)).toHaveLength(17);
    for (const [name, object] of Object.entries(code))
      expect({ [name]: helm[name] }).toEqual({ [name]: object });
  });

  it('and the chart bring the same CRDs and rules as the sources', async () => {
    const root = join(chart, '../..');
    const stale = [...(await chartFiles())].filter(
      ([path, text]) => readFileSync(join(root, path), 'utf8') !== text,
    );
    expect(
      stale.map(([path]) => path),
      'run: npm run gen',
    ).toEqual([]);
  });
});
