import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TestSpecification, Vitest } from 'vitest/node';
import { LongestFirst, slowFiles } from './longest-first.ts';

const root = join(import.meta.dirname, '..');

/** With vitest on a clean clone, which knows no durations. */
const order = async (files: readonly (readonly [suite: string, file: string])[]): Promise<string[]> => {
  const unknown = { cache: { getTestSpecificationResult: () => undefined } };
  const specifications = files.map(([suite, file]) => ({
    moduleId: join(root, file),
    project: { name: suite, config: { isolate: false, sequence: { groupOrder: 0 } } },
  }));
  const sorted = await new LongestFirst(unknown as unknown as Vitest).sort(
    specifications as unknown as TestSpecification[],
  );
  return sorted.map(({ project, moduleId }) => `${project.name} ${moduleId.slice(root.length + 1)}`);
};

describe('the order of test files', () => {
  it('has those that are known to take long first, then large ones; suites stay together', async () => {
    const [small, large] = ['test/e2e/telemetry.test.ts', 'test/e2e/routes.test.ts'];
    const [long, longest] = ['test/e2e/reward.test.ts', 'test/e2e/lab/faults.test.ts'];
    const chaos = 'test/chaos/cluster/fleet-soak.test.ts';
    const suite = [small, large, long, longest].map((file) => ['e2e', file] as const);
    expect(await order([...suite, ['chaos', chaos]])).toEqual([
      `chaos ${chaos}`,
      ...[longest, long, large, small].map((file) => `e2e ${file}`),
    ]);
  });

  it('knows of no file that is not there', () => {
    expect(Object.keys(slowFiles).filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});
