import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { connectKube } from '../../src/kube/client/client.ts';
import { pathOf, type ResourceType } from '../../src/kube/client/object.ts';
import { adapterType, rolloutType } from '../../src/operator/objects/resource-types.ts';
import type { SplitResource } from '../../src/plan/resources.ts';
import { systemClock } from '../../src/time/clock.ts';
import { BareRuntime } from '../support/bare-runtime.ts';
import { systemNamespace, TestFleet } from '../support/fleet.ts';
import { waitFor } from '../support/wait.ts';
import { type Report, report, type Variant, variant } from './report.ts';

const runtimes = 100;
const adapters = 2_000;
const rollouts = 50;
const rounds = 60;
const idleMs = 120_000;
/** Renewals of the lease that fit into so many milliseconds. */
const [quietMs, leaseWrites] = [10_000, 2] as const;

const say = (text: string): void => console.error(text);
const fixed = (value: number): Variant => ({ median: value, p99: value, n: 1 });
const digestOf = (i: number): string => `sha256:${i.toString(16).padStart(64, '0')}`;

const core = (kind: string, plural: string, namespaced = true): ResourceType => ({
  group: '',
  version: 'v1',
  kind,
  plural,
  namespaced,
});

/** Bytes that a process has in RAM, in MiB. */
const rssMib = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
};

/** Writes that the operators made, by their own count. */
const writesOf = async (fleet: TestFleet): Promise<number> => {
  const texts = await Promise.all(fleet.operators.map((operator) => operator.metrics()));
  return texts
    .flatMap((text) => [
      ...text.matchAll(
        /^adaptlet_operator_api_requests_total\{[^}]*method="(?:POST|PUT|PATCH|DELETE)"[^}]*\} (\d+)$/gm,
      ),
    ])
    .reduce((sum, [, count]) => sum + Number(count), 0);
};

/** Whether nothing but the lease is written for a while: events are told some per second. */
const isQuiet = async (fleet: TestFleet): Promise<boolean> => {
  const before = await writesOf(fleet);
  await sleep(quietMs);
  return (await writesOf(fleet)) - before <= leaseWrites;
};

/** In parts, so that the API server's limits are not met. */
const inParts = async <T>(all: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> => {
  const queue = [...all];
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let item = queue.pop(); item !== undefined; item = queue.pop()) await act(item);
    }),
  );
};

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/**
 * From the moment when a change of a rollout is sent to the API server to the moment when it is in force on all
 * runtimes; memory of the leader; what an idle fleet costs. Real API server, one operator process, runtimes without an
 * engine in this process.
 */
export const control = async (): Promise<Report> => {
  await using fleet = await TestFleet.start({
    replicas: 1,
    runtimes: 0,
    say,
    operatorSettings: { 'lease-duration': '20s', 'log-level': 'info' },
    // What the chart gives it: 40 % of 1 GiB.
    operatorEnv: { NODE_OPTIONS: '--max-old-space-size=410' },
  });
  const { cluster, namespace } = fleet;
  const api = connectKube({
    kubeconfig: cluster.kubeconfig,
    clock: systemClock,
    logger: pino({ enabled: false }),
  });
  const create = (type: ResourceType, inNamespace: string, body: object): Promise<unknown> =>
    api.request({ method: 'POST', path: pathOf(type, inNamespace), body });

  say(`creating ${adapters} Adapters and ${rollouts} AdapterRollouts`);
  await inParts(numbers(adapters), (i) =>
    create(adapterType, namespace, {
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'Adapter',
      metadata: { name: `a${i}` },
      spec: { baseModel: 'tiny', source: { path: { path: `a${i}` } }, digest: digestOf(i) },
    }),
  );
  const specOf = (i: number, adapter: number, weight: number) => ({
    adapter: `a${adapter}`,
    strategy: { canary: { steps: [{ setWeight: weight }, { pause: {} }] } },
  });
  await inParts(numbers(rollouts), (i) =>
    create(rolloutType, namespace, {
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterRollout',
      metadata: { name: `r${i}` },
      spec: specOf(i, 2 * i, 10),
    }),
  );

  say(`connecting ${runtimes} runtimes`);
  const caFile = await fleet.authority();
  const door = fleet.operators[0]?.grpc ?? '';
  const waiting = new Map<string, { weight: number; left: Set<string>; done: () => void }>();
  const bare = await Promise.all(
    numbers(runtimes).map(async (i) => {
      const [name, pod] = [`bare-${i}`, `bare-runtime-${i}`];
      await create(core('Node', 'nodes', false), '', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
      await create(core('Pod', 'pods'), systemNamespace, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: pod },
        spec: {
          nodeName: name,
          serviceAccountName: 'adaptlet-runtime',
          containers: [{ name: 'runtime', image: 'none' }],
        },
      });
      const tokenFile = join(fleet.folder, `${name}.token`);
      await writeFile(
        tokenFile,
        await cluster.token({
          namespace: systemNamespace,
          serviceAccount: 'adaptlet-runtime',
          audience: 'adaptlet',
          boundPod: pod,
        }),
      );
      return new BareRuntime({
        namespace: systemNamespace,
        name,
        baseModel: 'tiny',
        dial: { address: door, caFile, tokenFile },
        inForce: (plan) => {
          for (const [key, wait] of waiting) {
            const split = plan.get(key) as SplitResource | undefined;
            if (split?.body.canary !== undefined && split.body.weight === wait.weight) wait.left.delete(name);
            if (wait.left.size === 0) {
              waiting.delete(key);
              wait.done();
            }
          }
        },
      });
    }),
  );
  for (const runtime of bare) runtime.start();
  const settled = async (index: number, phase: string) =>
    waitFor(
      `rollout r${index} to be ${phase}`,
      async () => (await fleet.rollout(`r${index}`))?.phase === phase,
      180_000,
    );
  for (const i of numbers(rollouts)) await settled(i, 'Healthy');
  await waitFor('all runtimes', () => bare.every((r) => r.isConnected && r.plan.size >= rollouts), 60_000);

  const patch = (i: number, spec: object) =>
    api.request({
      method: 'PATCH',
      path: pathOf(rolloutType, namespace, `r${i}`),
      contentType: 'application/merge-patch+json',
      body: { spec },
    });
  say('binding a canary to each rollout');
  for (const i of numbers(rollouts)) await patch(i, specOf(i, 2 * i + 1, 10));
  for (const i of numbers(rollouts)) await settled(i, 'Paused');

  say(`${rounds} changes of a weight`);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const i = round % rollouts;
    const weight = 11 + (round % 80);
    const effective = new Promise<void>((done) => {
      waiting.set(`Split ${namespace}/r${i}`, {
        weight,
        left: new Set(bare.map((_, n) => `bare-${n}`)),
        done,
      });
    });
    const started = performance.now();
    await patch(i, specOf(i, 2 * i + 1, weight));
    await effective;
    times.push(performance.now() - started);
  }

  const rss = await rssMib(fleet.operators[0]?.pid ?? 0);
  say('waiting until all events are told');
  await waitFor('a quiet operator', () => isQuiet(fleet), 180_000);
  say(`idle for ${idleMs / 1000} s`);
  const [writes, bytes] = [await writesOf(fleet), await fleet.sentBytes()];
  await sleep(idleMs);
  const minutes = idleMs / 60_000;
  const idleWrites = ((await writesOf(fleet)) - writes) / minutes;
  const idleBytes = (((await fleet.sentBytes()) - bytes) / runtimes) * (60 / minutes);
  for (const runtime of bare) runtime.close();
  api.close();
  return report('control', 'ms', {
    results: {
      apply_to_effective: variant(times),
      operator_rss_mib: fixed(Math.round(rss)),
      idle_api_writes_per_min: fixed(idleWrites),
      idle_bytes_per_node_hour: fixed(Math.round(idleBytes)),
    },
    ratios: {},
    setup: { runtimes, adapters, rollouts, operators: 1, idle_s: idleMs / 1000 },
  });
};
