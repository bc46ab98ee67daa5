import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plan } from '../../src/plan/resources.ts';
import { BareRuntime } from './bare-runtime.ts';
import { systemNamespace, type TestFleet } from './fleet.ts';

/**
 * Runtimes without an engine, each with the identity of a pod on a node of its own, connected to the first replica of the
 * operator. `inForce` is called with the number of a runtime and its plan.
 */
export const startBareRuntimes = async (
  fleet: TestFleet,
  count: number,
  inForce: (runtime: number, plan: Plan) => void,
): Promise<readonly BareRuntime[]> => {
  const caFile = await fleet.authority();
  const address = fleet.operators[0]?.grpc ?? '';
  const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
  const runtimes: BareRuntime[] = [];
  for (let number = 0; number < count; number++) {
    const [name, pod] = [`bare-${number}`, `bare-runtime-${number}`];
    await fleet.cluster.createPod({ ...account, name: pod, node: name });
    const tokenFile = join(fleet.folder, `${name}.token`);
    const token = await fleet.cluster.token({ ...account, audience: 'adaptlet', boundPod: pod });
    await writeFile(tokenFile, token, { mode: 0o600 });
    const runtime = new BareRuntime({
      namespace: systemNamespace,
      name,
      baseModel: 'tiny',
      dial: { address, caFile, tokenFile },
      inForce: (plan) => inForce(number, plan),
    });
    runtime.start();
    runtimes.push(runtime);
  }
  return runtimes;
};
