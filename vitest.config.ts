import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './scripts/longest-first.ts';
import { patience } from './test/support/patience.ts';

type Options = {
  readonly timeout: number;
  /** A process for each file. Else files that follow each other share one, with what its modules hold. */
  readonly isolate?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** It starts many processes of ours. */
  readonly bundled?: boolean;
  /** Its files wait for half of their time. */
  readonly waits?: boolean;
};

/** One project per kind of test, from the least to the most real; `npm test` runs them in this order. */
const project = (
  name: string,
  include: string[],
  { timeout, isolate = false, env = {}, bundled = false, waits = false }: Options,
) => ({
  test: {
    name,
    include,
    testTimeout: timeout * patience,
    hookTimeout: timeout * patience,
    pool: 'forks' as const,
    isolate,
    setupFiles: ['test/support/each-file.ts'],
    globalSetup: bundled ? ['test/support/bundled-programs.ts'] : [],
    // Files run beside each other. Of real processes more than four sets at once would wait for the processor.
    maxWorkers: Math.min(availableParallelism() + (waits ? 1 : 0), 4),
    env: {
      // Tests load ONNX Runtime themselves, without the engine process that says it.
      ORT_DISABLE_TELEMETRY: '1',
      // Many nodes share the cores: threads that spin would wait for each other.
      ADAPTLET_THREADS: '1',
      // A process of ours compiles 1,800 modules when it starts, and tests start hundreds: each is compiled once.
      NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node'),
      ...env,
    },
  },
});

/** One after the other, as they may run different numbers of files at a time. */
const inOrder = (projects: readonly ReturnType<typeof project>[]) =>
  projects.map(({ test }, groupOrder) => ({ test: { ...test, sequence: { groupOrder } } }));

const exact = [
  'appending-rows',
  'encoder-exactness',
  'encoder-mixed',
  'exactness',
  'exports',
  'guaranteed-rows',
  'injection',
  'kv-precision',
  'kv-shares',
  'layouts',
  'length-limits',
  'long-rope',
  'memory-limits',
  'minilm',
  'openvino',
  'plain-tensors',
  'precision',
  'prompt-logprobs',
  'prefix-cache',
  'prove-rows',
  'rows',
  'rows-memory',
  'rows-random',
  'shared-weights',
  'speculation',
  'speculation-limits',
  'structured-output',
  'tiny',
];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // What one suite had compiled the next one need not.
    fsModuleCache: true,
    projects: inOrder([
      project(
        'unit',
        [
          'src/**/*.test.ts',
          'scripts/**/*.test.ts',
          'image/**/*.test.ts',
          'native/**/*.test.ts',
          'test/soak/**/*.test.ts',
          'test/fleet-soak/**/*.test.ts',
          'test/fuzz/**/*.test.ts',
        ],
        {
          timeout: 120_000,
        },
      ),
      project('conformance', ['test/conformance/**/*.test.ts'], { timeout: 120_000, isolate: true }),
      // What is exact of answers, once more without the native operator.
      project(
        'portable',
        exact.map((name) => `test/conformance/${name}.test.ts`),
        {
          timeout: 120_000,
          isolate: true,
          env: { ADAPTLET_LORA_OPERATOR: 'off' },
        },
      ),
      project('integration', ['test/integration/**/*.test.ts', 'test/cluster/**/*.test.ts'], {
        timeout: 120_000,
        bundled: true,
        waits: true,
      }),
      project('chaos', ['test/chaos/**/*.test.ts'], { timeout: 180_000, bundled: true }),
      project('e2e', ['test/e2e/**/*.test.ts'], { timeout: 600_000, bundled: true }),
      // By `make gpu` alone, on a machine with one.
      project('gpu', ['test/gpu/**/*.test.ts'], { timeout: 600_000, isolate: true }),
    ]),
  },
});
