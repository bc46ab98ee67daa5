import { join } from 'node:path';
import type { EngineInfo } from '../../src/runtime/engine/engine.ts';
import { cudaLibrary } from '../tools/cuda.ts';
import { openVinoLibrary } from '../tools/openvino.ts';
import { benchBase, benchEngine, compileFor, scratchFolder, timedAnswer } from './base.ts';
import { settledMemory } from './process-memory.ts';
import { type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const promptTokens = 128;
const answerTokens = 48;
const threads = 1;
/** A provider and the library that has it. */
type Place = { readonly key: string; readonly library: string | undefined; readonly provider: string };

type Times = { readonly prefill: number[]; readonly decode: number[] };
const arms = ['base', 'all_r8'] as const;
type Arm = (typeof arms)[number];

type Measured = {
  readonly times: Readonly<Record<Arm, Times>>;
  readonly startMs: number;
  readonly anonymous: number;
  readonly operators: EngineInfo['operators'];
};

const prompt = {
  kind: 'ids',
  ids: Array.from({ length: promptTokens }, (_, index) => 200 + 7 * index),
} as const;
/** The model's own end token is not drawn. */
const endless = { logitBias: [[2, -1000]] } as const;

const measure = async (place: Place, rounds: number): Promise<Measured> => {
  const base = benchBase('providers');
  using folder = scratchFolder();
  const started = performance.now();
  await using engine = await benchEngine({
    modelDir: base.modelDir,
    adapterBudgetBytes: 64 << 20,
    threads,
    onnxRuntimeLibrary: place.library,
    executionProviders: [place.provider],
    requireProvider: true,
  });
  const startMs = performance.now() - started;
  const file = join(folder.path, 'adapter.bin');
  await compileFor(engine.info(), base.allLinear, file);
  await engine.load('all_r8', file);
  const times = { base: { prefill: [], decode: [] }, all_r8: { prefill: [], decode: [] } };
  const ask = async (arm: Arm): Promise<readonly number[]> => {
    const adapter = arm === 'base' ? null : arm;
    return (await timedAnswer(engine, adapter, prompt, answerTokens, endless)).atMs;
  };
  for (const arm of arms) await ask(arm);
  const shuffled = shuffler(5);
  for (let round = 0; round < rounds; round += 1) {
    for (const arm of shuffled(arms)) {
      const at = await ask(arm);
      const { prefill, decode }: Times = times[arm];
      prefill.push(at[0] ?? Number.NaN);
      decode.push(...at.slice(1).map((ms, index) => ms - (at[index] ?? Number.NaN)));
    }
  }
  const { anonymous } = await settledMemory(engine.pid ?? 0);
  console.error(`providers: ${place.key} is measured`);
  return { times, startMs, anonymous, operators: engine.info().operators };
};

/** The provider that is compared with the CPU: OpenVINO's CPU device, or CUDA, whose libraries `make gpu` tells the loader of. */
const compared = async (): Promise<Place> => {
  const cuda = process.env['ADAPTLET_BENCH_PROVIDER'] === 'cuda';
  const library = cuda ? (await cudaLibrary())?.library : await openVinoLibrary();
  if (library === undefined) throw new Error('its library comes from PyPI for Linux x64, by python3');
  if (cuda) return { key: 'cuda', library, provider: 'CUDAExecutionProvider' };
  return { key: 'openvino', library, provider: 'OpenVINOExecutionProvider' };
};

/**
 * The same base model on the CPU provider of the npm package, on that of a library which has another provider, and on that:
 * time of a prompt, of a token, of a start with everything proved and prepared, and memory of the engine process.
 */
export const providers = async (): Promise<Report> => {
  const other = await compared();
  const cpu = 'CPUExecutionProvider';
  const places: readonly Place[] = [
    { key: 'cpu', library: undefined, provider: cpu },
    { key: `cpu_of_${other.key}`, library: other.library, provider: cpu },
    other,
  ];
  // The first start proves and prepares: the one that is timed finds that done.
  for (const place of places) await measure(place, 0);
  const results: Record<string, ReturnType<typeof variant>> = {};
  const operators: Record<string, number> = {};
  const rounds = roundsOf(5);
  for (const place of places) {
    const { times, startMs, anonymous, operators: run } = await measure(place, rounds);
    for (const arm of arms) {
      results[`${place.key}_${arm}_prefill_ms`] = variant(times[arm].prefill);
      results[`${place.key}_${arm}_decode_ms`] = variant(times[arm].decode);
    }
    results[`${place.key}_start_ms`] = variant([startMs]);
    results[`${place.key}_anonymous_mib`] = variant([anonymous]);
    for (const [provider, count] of Object.entries(run)) operators[`operators_${provider}`] = count;
  }
  const median = (key: string): number => results[key]?.median ?? Number.NaN;
  const ratio = (what: string): number => median(`${other.key}_${what}`) / median(`cpu_${what}`);
  return report('providers', 'ms, and MiB where the key says so', {
    results,
    ratios: {
      [`${other.key}_over_cpu_decode_base`]: ratio('base_decode_ms'),
      [`${other.key}_over_cpu_decode_all_r8`]: ratio('all_r8_decode_ms'),
      [`${other.key}_over_cpu_prefill_base`]: ratio('base_prefill_ms'),
      [`${other.key}_over_cpu_memory`]: ratio('anonymous_mib'),
      [`${other.key}_over_cpu_start`]: ratio('start_ms'),
    },
    setup: {
      model: benchBase('providers').label,
      threads,
      prompt_tokens: promptTokens,
      answer_tokens: answerTokens,
      rounds,
      ...operators,
    },
  });
};
