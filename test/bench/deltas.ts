import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compressionLevel } from '../../src/artifact/delta/make.ts';
import { type DiskThread, startDiskThread } from '../../src/artifact/disk-thread.ts';
import { type MadeDelta, makeDeltas, type Version, versionOf } from '../../src/artifact/make-deltas.ts';
import { defaultLimits } from '../../src/artifact/manifest.ts';
import { packFolder } from '../../src/artifact/pack.ts';
import { smollm } from '../support/models.ts';
import { type Report, report, type Variant, variant } from './report.ts';
import { type Dtype, dtypes, fileOf, masterWeights, trained } from './training-step.ts';

const rounds = 3;
/** As many weights as the adapters of SmolLM2 have. */
const weights = 120 * 20_480;
const perTensor = 20_480;
/** By how much of their standard deviation training moved the weights; undefined: trained anew. */
const steps = { step: 0.001, small: 0.01, medium: 0.1, large: 1, scratch: undefined } as const;

const signal = new AbortController().signal;

/** Real pairs: versions that were trained on from the first, 130 steps at 1e-3 and 30 at 5e-4. */
const realPairs = [
  ['json-extract-v1', 'json-extract-v2'],
  ['json-extract-v1', 'json-extract-v3-regressed'],
] as const;

type Case = { readonly name: string; readonly from: string; readonly to: string };

const versionIn = async (folder: string, disk: DiskThread): Promise<Version> =>
  versionOf((await packFolder(folder, { disk, limits: defaultLimits, signal })).manifest, folder);

const write = async (folder: string, file: Uint8Array): Promise<string> => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'adapter_config.json'), '{}');
  await writeFile(join(folder, 'adapter_model.safetensors'), file);
  return folder;
};

async function* casesIn(root: string): AsyncGenerator<Case> {
  const before = masterWeights(weights, 1);
  const as = (dtype: Dtype, name: string, values: Float32Array) =>
    write(join(root, dtype, name), fileOf(values, dtype, perTensor));
  for (const [step, change] of Object.entries(steps)) {
    const after = change === undefined ? masterWeights(weights, 3) : trained(before, change, 2);
    for (const dtype of dtypes) {
      const from = await as(dtype, 'before', before);
      yield { name: `${dtype.toLowerCase()}_${step}`, from, to: await as(dtype, step, after) };
    }
  }
  const real = smollm();
  if (real === undefined) {
    console.error('deltas: the trained adapters are not here (ADAPTLET_MODELS): without them');
    return;
  }
  for (const [from, to] of realPairs)
    yield { name: `${from}_to_${to}`, from: join(real.adapters, from), to: join(real.adapters, to) };
}

/**
 * Bytes of deltas between versions of adapters against the files, and against the same compressed by zstd; and what it takes to make
 * and to apply them. Times are of one thread.
 */
export const deltas = async (): Promise<Report> => {
  const root = await mkdtemp(join(tmpdir(), 'adaptlet-bench-deltas-'));
  const results: Record<string, Variant> = {};
  const ratios: Record<string, number> = {};
  const setup: Record<string, string | number> = { weights, zstd_level: compressionLevel, rounds };
  try {
    await using disk = startDiskThread();
    for await (const { name, from, to } of casesIn(root)) {
      const [first, second] = [await versionIn(from, disk), await versionIn(to, disk)];
      const made: MadeDelta[] = [];
      const options = { folder: root, disk, signal, now: () => performance.now() };
      for (let i = 0; i < rounds; i++) made.push(...(await makeDeltas(first, second, options)));
      const [one] = made;
      if (one === undefined) throw new Error(`no delta of ${name}`);
      results[`make_${name}`] = variant(made.map(({ makeMs }) => makeMs));
      results[`apply_${name}`] = variant(made.map(({ applyMs }) => applyMs));
      ratios[`zstd_${name}`] = one.zstdBytes / one.wholeBytes;
      ratios[`delta_${name}`] = one.size / one.wholeBytes;
      setup[`bytes_${name}`] = one.wholeBytes;
      setup[`delta_bytes_${name}`] = one.size;
      console.error(`deltas: ${name} done`);
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  return report('deltas', 'ms', { results, ratios, setup });
};
