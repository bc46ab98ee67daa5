import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { bytesBelow } from '../../disk/bytes-below.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { wantedProviders } from '../config/device-providers.ts';
import type { Settings } from '../config/settings.ts';
import { startEngine } from '../engine/client/client.ts';
import { saidOfProducts } from '../engine/graphs/products-verdict.ts';
import { residentBytesOf } from '../machine/resident-bytes.ts';
import type { CheckSettings } from './check-model.ts';
import { encoderBytesOf } from './memory-need.ts';
import { type Refusal, refusalOf } from './refusal.ts';
import { untilReady } from './until-ready.ts';

export type TrialSettings = CheckSettings & Pick<Settings, 'threads' | 'modelFile'>;

/** What loading a model showed. */
export type Trial =
  | {
      readonly kind: 'Loaded';
      readonly ms: number;
      readonly executionProvider: string;
      readonly baseDigest: Digest;
      /** Files that the engine keeps of it, and the RAM of its process; absent where nobody can tell. */
      readonly keptBytes: number;
      readonly residentBytes?: number;
      /** What linears in int4 and int8 have, in words that follow "linears". */
      readonly linears: readonly string[];
    }
  | { readonly kind: 'Refused'; readonly refusal: Refusal };

const stallTimeoutMs = 60_000;

/** Loads a base model as `serve` would, with all proofs, and gives everything back. */
export const loadForTrial = async (
  folder: string,
  settings: TrialSettings,
  { clock, logger }: { readonly clock: Clock; readonly logger: Log },
): Promise<Trial> => {
  const cacheDir = await mkdtemp(join(tmpdir(), 'adaptlet-trial-'));
  const { pooling } = settings;
  const startedAt = clock.monotonic();
  const engine = startEngine({
    modelDir: folder,
    modelFile: settings.modelFile,
    cacheDir,
    adapterBudgetBytes: settings.adapterMemory,
    threads: settings.threads,
    executionProviders: wantedProviders(settings),
    requireProvider: settings.requireProvider,
    maxConcurrent: settings.maxConcurrent,
    maxQueue: 0,
    kvBudgetBytes: settings.kvMemory === 'auto' ? undefined : settings.kvMemory,
    kvPrecision: settings.kvPrecision,
    structureBudgetBytes: settings.structureMemory,
    besideBytes: () => encoderBytesOf(settings),
    ...(pooling === undefined ? {} : { pooling }),
    stallTimeoutMs,
    clock,
    logger,
  });
  try {
    await untilReady(engine);
    const { executionProvider, baseDigest } = engine.info();
    const residentBytes = residentBytesOf(engine.pid);
    return {
      kind: 'Loaded',
      ms: Math.round(clock.monotonic() - startedAt),
      executionProvider,
      baseDigest,
      keptBytes: await bytesBelow(cacheDir),
      linears: saidOfProducts(cacheDir),
      ...(residentBytes === undefined ? {} : { residentBytes }),
    };
  } catch (error) {
    return { kind: 'Refused', refusal: refusalOf(error) };
  } finally {
    await engine.close();
    await rm(cacheDir, { recursive: true, force: true });
  }
};
