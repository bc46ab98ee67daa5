import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { connectKube } from '../../../src/kube/client/client.ts';
import { pathOf } from '../../../src/kube/client/object.ts';
import { rolloutType } from '../../../src/operator/objects/resource-types.ts';
import type { ServingFacts } from '../../../src/runtime/routing/decision.ts';
import { route } from '../../../src/runtime/routing/route.ts';
import { buildTable, type RoutingTable } from '../../../src/runtime/routing/table.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { startBareRuntimes } from '../../support/bare-fleet.ts';
import { TestFleet } from '../../support/fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { roundsOf } from '../rounds.ts';

export const runtimes = 20;
const weight = 50;
/** Requests of one runtime that are routed every so many milliseconds. */
const [requests, everyMs] = [10, 2] as const;

const say = (text: string): void => console.error(`rollback: ${text}`);
const digestOf = (i: number): string => `sha256:${i.toString(16).padStart(64, '0')}`;
/** A canary that is in the plan is Resident at once: these runtimes have no engine. */
const facts: ServingFacts = { serves: () => true, isHeld: () => false };

/** Routes requests by the plan in force of one runtime, and knows when the last one went to the canary. */
class Traffic {
  lastCanary = 0;
  #table: RoutingTable | undefined;
  readonly #namespace: string;
  readonly #timer: NodeJS.Timeout;

  constructor(namespace: string) {
    this.#namespace = namespace;
    this.#timer = setInterval(() => this.#ask(), everyMs);
  }

  set table(table: RoutingTable) {
    this.#table = table;
  }

  #ask(): void {
    if (this.#table === undefined) return;
    const context = { namespace: this.#namespace, model: 'shout', headers: new Map<string, string>() };
    for (let i = 0; i < requests; i++) {
      const [first] = route(this.#table, context, facts, randomUUID()).candidates;
      if (first?.kind === 'adapter' && first.arm === 'canary') this.lastCanary = performance.now();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/**
 * Milliseconds from the request to abort a rollout, as it is sent to the API server, to the last request that any runtime
 * gave the canary. Real API server, one operator process, the real sync protocol; runtimes route by their plan in force but
 * have no engine.
 */
export const operatorAbortTimes = async (): Promise<readonly number[]> => {
  const rounds = roundsOf(100);
  await using fleet = await TestFleet.start({
    replicas: 1,
    runtimes: 0,
    say,
    operatorSettings: { 'lease-duration': '20s', 'log-level': 'info' },
  });
  const { cluster, namespace } = fleet;
  const api = connectKube({
    kubeconfig: cluster.kubeconfig,
    clock: systemClock,
    logger: pino({ enabled: false }),
  });
  const patch = (body: object) =>
    api.request({
      method: 'PATCH',
      path: pathOf(rolloutType, namespace, 'shout'),
      contentType: 'application/merge-patch+json',
      body,
    });
  const spec = (adapter: string) => ({
    adapter,
    strategy: { canary: { steps: [{ setWeight: weight }, { pause: {} }] } },
  });
  const objects = [
    ...['stable', 'next'].map((name, i) => ({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'Adapter',
      metadata: { name },
      spec: { baseModel: 'tiny', source: { path: { path: name } }, digest: digestOf(i + 1) },
    })),
    {
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterRollout',
      metadata: { name: 'shout' },
      spec: spec('stable'),
    },
  ];
  await fleet.apply(objects.map((object) => JSON.stringify(object)).join('\n---\n'));

  const traffic = Array.from({ length: runtimes }, () => new Traffic(namespace));
  const weights = traffic.map(() => -1);
  const bare = await startBareRuntimes(fleet, runtimes, (runtime, plan) => {
    const split = plan.get(`Split ${namespace}/shout`);
    weights[runtime] = split?.type === 'Split' && split.body.canary !== undefined ? split.body.weight : 0;
    const at = traffic[runtime];
    if (at !== undefined) at.table = buildTable(plan, { name: 'tiny' });
  });
  const all = (wanted: number) => () => weights.every((one) => one === wanted);
  const times: number[] = [];
  try {
    await waitFor('stable', async () => (await fleet.rollout('shout'))?.phase === 'Healthy', 60_000);
    await patch({ spec: spec('next') });
    for (let round = 0; round < rounds; round++) {
      await waitFor('the canary on all runtimes', all(weight), 60_000);
      const since = performance.now();
      await waitFor('requests for it', () => traffic.every(({ lastCanary }) => lastCanary > since));
      const started = performance.now();
      await patch({ metadata: { annotations: { 'adaptlet.io/request': `abort@${randomUUID()}` } } });
      await waitFor('the abort on all runtimes', all(0), 60_000);
      times.push(Math.max(...traffic.map(({ lastCanary }) => lastCanary)) - started);
      if (round % 10 === 9) say(`the operator aborted ${round + 1} of ${rounds} times`);
      await patch({ metadata: { annotations: { 'adaptlet.io/request': `retry@${randomUUID()}` } } });
    }
    return times;
  } finally {
    for (const one of traffic) one.stop();
    for (const one of bare) one.close();
    api.close();
  }
};
