/**
 * Writes everything that is generated, or with --check says what is not current.
 * Each file of scripts/generate/ makes one kind of output as a map of path to content.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { chartFiles } from '../cdk8s/chart-files.ts';
import { adapterSupport } from './generate/adapter-support.ts';
import { apiReference } from './generate/api-reference.ts';
import { commandLineReference } from './generate/command-line-reference.ts';
import { configReference } from './generate/config-reference.ts';
import { crdDigests } from './generate/crd-digests.ts';
import { crds } from './generate/crds.ts';
import { errorReference } from './generate/error-reference.ts';
import { hostileInputPage } from './generate/hostile-input.ts';
import { metricsReference } from './generate/metrics-reference.ts';
import { modelSupport } from './generate/model-support.ts';
import { performanceReference } from './generate/performance.ts';
import { protos } from './generate/protos.ts';
import { providerReference } from './generate/provider-reference.ts';
import { requestReference } from './generate/request-reference.ts';
import { rolloutReference } from './generate/rollout-reference.ts';
import { scalePage } from './generate/scale.ts';
import { soakPage } from './generate/soak.ts';
import { sourceMap } from './generate/source-map.ts';
import { tenancyReference } from './generate/tenancy-reference.ts';

const root = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');
const stale: string[] = [];
let count = 0;

const generators = [
  protos,
  crds,
  crdDigests,
  chartFiles,
  adapterSupport,
  apiReference,
  commandLineReference,
  configReference,
  errorReference,
  hostileInputPage,
  metricsReference,
  modelSupport,
  performanceReference,
  providerReference,
  requestReference,
  rolloutReference,
  scalePage,
  soakPage,
  sourceMap,
  tenancyReference,
];
for (const make of generators) {
  for (const [path, content] of await make()) {
    count++;
    const file = join(root, path);
    const present = await readFile(file, 'utf8').catch(() => undefined);
    if (present === content) continue;
    stale.push(path);
    if (check) continue;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

if (check && stale.length > 0) {
  console.error(`not current: ${stale.join(', ')}\nRun: npm run gen`);
  process.exit(1);
}
console.log(
  check ? `${count} generated files are current` : `${count} generated files, ${stale.length} written`,
);
