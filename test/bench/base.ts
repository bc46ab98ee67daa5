import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../src/api/names.ts';
import { compileAdapter } from '../../src/runtime/adapter/compile.ts';
import type { EngineClient, EngineOptions } from '../../src/runtime/engine/client/client.ts';
import type { EngineInfo, GenerateInput, Sampling } from '../../src/runtime/engine/engine.ts';
import { systemClock } from '../../src/time/clock.ts';
import { modelsFolder, smollm } from '../support/models.ts';
import { tiny } from '../support/node.ts';
import { startReadyEngine } from '../support/ready-engine.ts';

/** The base model that a bench of the engine runs on, with its trained adapters as PEFT folders. */
export type BenchBase = {
  readonly label: string;
  readonly modelDir: string;
  readonly configFile: string;
  /** Rank 8 on every linear; 4 on the tiny model. */
  readonly allLinear: string;
  /** Rank 8 on the projections of queries and values. */
  readonly queryValue: string;
};

/** SmolLM2, or the tiny model where it is not found: its numbers say nothing of a real one. */
export const benchBase = (bench: string): BenchBase => {
  const real = smollm();
  if (real !== undefined) {
    return {
      label: 'SmolLM2-135M int4',
      modelDir: real.modelDir,
      configFile: join(real.modelDir, '../config.json'),
      allLinear: join(real.adapters, 'json-extract-v1'),
      queryValue: join(real.adapters, 'pirate'),
    };
  }
  console.error(
    `${bench}: ${modelsFolder()} has no smollm2-135m/onnx-int4 (ADAPTLET_MODELS says where to look); measuring the tiny model`,
  );
  return {
    label: 'tiny fp32',
    modelDir: tiny.model,
    configFile: join(tiny.model, '../config.json'),
    allLinear: join(tiny.adapters, 'upper'),
    queryValue: join(tiny.adapters, 'hello'),
  };
};

/** Where benches keep what is made once: optimised graphs, and the programs that they compare with. */
export const benchCache = (...path: readonly string[]): string =>
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'adaptlet/bench', ...path);

/** A folder for one run. */
export const scratchFolder = (): Disposable & { readonly path: string } => {
  const path = mkdtempSync(join(tmpdir(), 'adaptlet-bench-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
};

/** Compiles a PEFT folder for an engine. */
export const compileFor = async (info: EngineInfo, folder: string, outFile: string) =>
  compileAdapter({
    folder,
    digest: `sha256:${'b'.repeat(64)}` as Digest,
    target: info,
    outFile,
    maxRank: 256,
  });

/** An engine process that is ready, for one stream at a time unless told otherwise. */
export const benchEngine = async (
  options: Pick<EngineOptions, 'modelDir' | 'adapterBudgetBytes' | 'threads' | 'spin'> &
    Partial<
      Pick<
        EngineOptions,
        | 'cacheDir'
        | 'maxConcurrent'
        | 'maxQueue'
        | 'kvBudgetBytes'
        | 'prefixCache'
        | 'speculation'
        | 'onnxRuntimeLibrary'
        | 'executionProviders'
        | 'requireProvider'
      >
    >,
): Promise<EngineClient & AsyncDisposable> => {
  const quiet = (): void => undefined;
  const say = (keys: object, message: string): void => console.error(message, keys);
  const engine = await startReadyEngine({
    maxConcurrent: 1,
    maxQueue: 1,
    // A step gives one token where nothing else is said: benches compare steps.
    speculation: false,
    cacheDir: benchCache('engine'),
    ...options,
    clock: systemClock,
    stallTimeoutMs: 60_000,
    logger: { debug: quiet, info: quiet, warn: say, error: say },
  });
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close() });
};

/** When the tokens of a greedy answer came, in milliseconds from the request, and which of the prompt were there before. */
export type Timed = {
  readonly atMs: readonly number[];
  readonly ids: readonly number[];
  readonly cachedTokens: number;
};

export const timedAnswer = async (
  engine: EngineClient,
  adapter: string | null,
  prompt: GenerateInput['prompt'],
  maxTokens: number,
  {
    scope,
    speculate = true,
    ...sampling
  }: Partial<Sampling> & Pick<GenerateInput, 'scope' | 'speculate'> = {},
): Promise<Timed> => {
  const started = performance.now();
  const input: GenerateInput = {
    requestId: 'bench',
    engineName: adapter,
    prompt,
    maxTokens,
    sampling: { temperature: 0, topK: 0, topP: 1, ...sampling },
    stop: [],
    speculate,
    ...(scope === undefined ? {} : { scope }),
  };
  const atMs: number[] = [];
  const ids: number[] = [];
  let cachedTokens = 0;
  for await (const event of engine.generate(input, new AbortController().signal)) {
    if (event.kind === 'done') {
      cachedTokens = event.cachedTokens ?? 0;
      continue;
    }
    atMs.push(performance.now() - started);
    ids.push(...event.ids);
  }
  return { atMs, ids, cachedTokens };
};
