import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plan } from '../../src/plan/resources.ts';
import { BareRuntime } from './bare-runtime.ts';
import { systemNamespace, type TestFleet } from './fleet.ts';

/**
 * A runtime without an engine, with the identity of a pod on a node of its own that has its name. `address`: what it
 * dials, the first replica of the operator unless it is given. `inForce` is called with each plan.
 */
export const startBareRuntime = async (
  fleet: TestFleet,
  name: string,
  inForce: (plan: Plan) => void,
  address = fleet.operators[0]?.grpc ?? '',
): Promise<BareRuntime> => {
  const caFile = await fleet.authority();
  const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
  const pod = `pod-of-${name}`;
  const known = await fleet.cluster.kubectl('-n', systemNamespace, 'get', 'pod', pod);
  if (known.code !== 0) await fleet.cluster.createPod({ ...account, name: pod, node: name });
  const tokenFile = join(fleet.folder, `${name}.token`);
  const token = await fleet.cluster.token({ ...account, audience: 'adaptlet', boundPod: pod });
  await writeFile(tokenFile, token, { mode: 0o600 });
  const dial = { address, caFile, tokenFile };
  const runtime = new BareRuntime({ namespace: systemNamespace, name, baseModel: 'tiny', dial, inForce });
  runtime.start();
  return runtime;
};

/** Several of them. `inForce` is called with the number of a runtime and its plan. */
export const startBareRuntimes = async (
  fleet: TestFleet,
  count: number,
  inForce: (runtime: number, plan: Plan) => void,
): Promise<readonly BareRuntime[]> => {
  const runtimes: BareRuntime[] = [];
  for (let number = 0; number < count; number++)
    runtimes.push(await startBareRuntime(fleet, `bare-${number}`, (plan) => inForce(number, plan)));
  return runtimes;
};
