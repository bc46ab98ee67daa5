import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { App, Chart } from 'cdk8s';
import { describe, expect, it, vi } from 'vitest';
import { chartFiles } from '../../../cdk8s/chart-files.ts';
import { AdaptletInstall } from '../../../cdk8s/index.ts';
import { toolPath } from '../../cluster/index.ts';
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { chart, type Manifest, manifestsOf, nameOf, readValues, rendered, valuesFile } from './helm.ts';

const folder = folderOfTests();

const cdk8s = join(import.meta.dirname, '../../../node_modules/.bin/cdk8s');
const path = `${dirname(await toolPath('helm'))}:${process.env['PATH']}`;

/** What helm puts into a cluster, without the Job that runs before an uninstall and what it needs. */
const installed = (manifests: readonly Manifest[]): Record<string, unknown> =>
  Object.fromEntries(
    manifests
      .filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === undefined)
      .map((manifest) => [nameOf(manifest), manifest]),
  );
const byName = (manifests: readonly Manifest[]): Record<string, unknown> =>
  Object.fromEntries(manifests.map((manifest) => [nameOf(manifest), manifest]));

describe('the install as code', () => {
  it('renders offline, and is what the chart renders with its defaults', async () => {
    const synth = await runProgram(cdk8s, ['synth', '--check-upgrade=false', '--output', folder], {
      env: { PATH: path },
    });
    expect(synth).toMatchObject({ code: 0 });
    const code = manifestsOf(readFileSync(join(folder, 'adaptlet.k8s.yaml'), 'utf8'));
    expect(code).toHaveLength(24);
    expect(byName(code)).toEqual(installed(await rendered()));
  });

  it('takes the values of the chart', async () => {
    const values = readValues(valuesFile('profiles')) as Readonly<Record<string, unknown>>;
    vi.stubEnv('PATH', path);
    const app = new App();
    new AdaptletInstall(new Chart(app, 'adaptlet'), 'install', { chart, values, kubeVersion: 'v1.34.4' });
    const code = byName(manifestsOf(app.synthYaml()));
    vi.unstubAllEnvs();
    expect(code).toEqual(installed(await rendered('-f', valuesFile('profiles'))));
  });

  it('and the chart bring the same CRDs and rules as the sources', async () => {
    const root = join(chart, '../..');
    const stale = [...(await chartFiles())].filter(
      ([file, text]) => readFileSync(join(root, file), 'utf8') !== text,
    );
    expect(
      stale.map(([file]) => file),
      'run: npm run gen',
    ).toEqual([]);
  });
});
