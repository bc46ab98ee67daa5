import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** One project per kind of test, from the least to the most real; `npm test` runs them in this order. */
const project = (name: string, include: string[], timeout: number, parallel = true) => ({
  test: {
    name,
    include,
    testTimeout: timeout,
    hookTimeout: timeout,
    fileParallelism: parallel,
    pool: 'forks' as const,
    env: {
      // Tests load ONNX Runtime themselves, without the engine process that says it.
      ORT_DISABLE_TELEMETRY: '1',
      // A process of ours compiles 1,800 modules when it starts, and tests start hundreds: each is compiled once.
      NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node'),
    },
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'test/soak/**/*.test.ts'], 60_000),
      project('conformance', ['test/conformance/**/*.test.ts'], 120_000, false),
      project('integration', ['test/integration/**/*.test.ts', 'test/cluster/**/*.test.ts'], 120_000, false),
      project('chaos', ['test/chaos/**/*.test.ts'], 180_000, false),
      project('e2e', ['test/e2e/**/*.test.ts'], 600_000, false),
    ],
  },
});
