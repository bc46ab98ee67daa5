import { join } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const root = join(import.meta.dirname, '..');

/** Seconds of the files that take longest, as a whole run says them at the end of each suite. */
export const slowFiles: Readonly<Record<string, number>> = {
  'native/check-kernels.test.ts': 47,
  'test/conformance/engine-faults.test.ts': 25,
  'test/conformance/tenancy/tenancy.test.ts': 22,
  'test/conformance/exports.test.ts': 20,
  'test/integration/kube/reflector.test.ts': 102,
  'test/integration/operator/groups.test.ts': 94,
  'test/integration/operator/plugin.test.ts': 92,
  'test/integration/image/arm64.test.ts': 90,
  'test/integration/operator/devices.test.ts': 83,
  'test/integration/image/reproducible.test.ts': 80,
  'test/integration/model/serve.test.ts': 78,
  'test/integration/operator/pull-secrets.test.ts': 67,
  'test/integration/manifests/install.test.ts': 51,
  'test/cluster/lab/lab.test.ts': 50,
  'test/chaos/cluster/faults.test.ts': 217,
  'test/chaos/store/faults.test.ts': 209,
  'test/chaos/trial.test.ts': 111,
  'test/chaos/cluster/offline-full-disk.test.ts': 100,
  'test/chaos/cluster/fleet-soak.test.ts': 88,
  'test/chaos/cluster/restored.test.ts': 84,
  'test/chaos/cluster/hostile-runtimes.test.ts': 73,
  'test/chaos/cluster/rotation.test.ts': 73,
  'test/chaos/hostile-bytes.test.ts': 67,
  'test/chaos/runtime-kill.test.ts': 61,
  'test/chaos/cluster/deleted.test.ts': 61,
  'test/e2e/lab/faults.test.ts': 233,
  'test/e2e/reward.test.ts': 152,
  'test/e2e/lab/upgrade.test.ts': 106,
  'test/e2e/precision.test.ts': 75,
  'test/e2e/lab/tenancy.test.ts': 65,
  'test/e2e/structured-output.test.ts': 60,
  'test/e2e/smollm.test.ts': 60,
  'test/e2e/demo-cluster.test.ts': 58,
  'test/e2e/lab/sidecar.test.ts': 48,
  'test/e2e/distil.test.ts': 41,
};

const bySeconds = (a: TestSpecification, b: TestSpecification): number => secondsOf(b) - secondsOf(a);
const secondsOf = ({ moduleId }: TestSpecification): number =>
  slowFiles[moduleId.slice(root.length + 1)] ?? 0;

/**
 * A clean clone knows no durations: vitest starts large files first there, and a long test of few lines would run alone at
 * the end. Here the files that are known to take long come first, the longest one at the head; then all others, by size.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const suites = Map.groupBy(await super.sort(files), ({ project }) => project.name);
    return [...suites.values()].flatMap((suite) => suite.toSorted(bySeconds));
  }
}
