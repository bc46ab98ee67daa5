import { randomUUID } from 'node:crypto';
import type { CallError } from '../../support/client.ts';
import { TestNode, yaml } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { roundsOf } from '../rounds.ts';

const lanes = { good: 8, bad: 4 } as const;
const prompts = { good: 'moon:', bad: '=moon:' } as const;
const weight = 50;
/** So many answers are waited for after each trip: the canary must give none of them. */
const answersAfter = 100;

const guard = '  guard: {maxConsecutiveErrors: 1000, maxErrorRatio: 20%, minRequests: 20}\n';
const steps = `{setWeight: ${weight}}, {pause: {}}`;

type Seen = { readonly begunAt: number; readonly arm: string };

/** Keeps the node busy: answers and failures of one round. */
class Load {
  answers: Seen[] = [];
  failures: CallError[] = [];
  bad = false;
  #running = true;
  readonly #done: Promise<unknown>;

  constructor(node: TestNode) {
    const lane = async (kind: keyof typeof lanes): Promise<void> => {
      while (this.#running) {
        if (kind === 'bad' && !this.bad) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          continue;
        }
        const askedAt = Date.now();
        await node.client.ask({ model: 'shout', prompt: prompts[kind], user: randomUUID() }).then(
          ({ firstMs, served }) => this.answers.push({ begunAt: askedAt + firstMs, arm: served.arm }),
          (error: unknown) => this.failures.push(error as CallError),
        );
      }
    };
    const all = (['good', 'bad'] as const).flatMap((kind) =>
      Array.from({ length: lanes[kind] }, () => lane(kind)),
    );
    this.#done = Promise.all(all);
  }

  begin(): void {
    this.answers = [];
    this.failures = [];
    this.bad = true;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }
}

const rollout = async (node: TestNode) => (await node.client.status()).rollouts[0];

const retry = (node: TestNode): Promise<void> =>
  new Promise((resolve, reject) => {
    node.client.admin.retry({ rollout: 'shout' }, (error) => (error === null ? resolve() : reject(error)));
  });

/** What the node logs when the guard trips: when that was by its clock, and how many failures it took. */
const tripsIn = (log: readonly string[]) =>
  log.flatMap((line) => {
    if (!line.includes('an adapter is held back on this node')) return [];
    const { at, reason } = JSON.parse(line) as { at: string; reason: string };
    const [, errors] = /^(\d+) of \d+ requests failed/.exec(reason) ?? [];
    if (errors === undefined) throw new Error(`the guard tripped for another reason: ${reason}`);
    return [{ at: Date.parse(at), errors: Number(errors) }];
  });

export type GuardTimes = {
  /** Milliseconds from the trip to the last answer that the canary began, as its client saw it. */
  readonly ms: readonly number[];
  /** Requests that failed beyond those that the guard counted. */
  readonly failedBeyond: number;
  readonly tripped: number;
};

/**
 * A node without an operator and without anybody, under load: a canary that passed every check fails with NaN from some
 * moment on, again and again. Always the tiny model: the adapter is made for it.
 */
export const guardTimes = async (): Promise<GuardTimes> => {
  const rounds = roundsOf(100);
  // Just enough places for the lanes: what goes from the canary to stable must find one although all are taken.
  const node = await TestNode.start({
    settings: { 'log-level': 'info', 'max-concurrent': '2', 'max-queue': String(lanes.good + lanes.bad - 2) },
  });
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('next', 'variants/brittle'),
  );
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps, guard));
  await waitFor('stable', async () => (await rollout(node))?.phase === 'Healthy');
  await node.write('shout.yaml', yaml.rollout('shout', 'next', steps, guard));
  const load = new Load(node);
  const ms: number[] = [];
  let failedBeyond = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      await waitFor('the canary', async () => (await rollout(node))?.effectiveWeight === weight);
      await waitFor('answers of the canary', () => load.answers.some(({ arm }) => arm === 'canary'));
      load.begin();
      const trip = await waitFor('the guard', () => tripsIn(node.log)[round]);
      const before = load.answers.length;
      await waitFor('answers after it', () => load.answers.length > before + answersAfter);
      load.bad = false;
      const begun = load.answers.filter(({ arm }) => arm === 'canary').map(({ begunAt }) => begunAt);
      ms.push(Math.max(0, Math.max(...begun) - trip.at));
      failedBeyond += Math.max(0, load.failures.length - trip.errors);
      if (round % 10 === 9) console.error(`rollback: the guard tripped ${round + 1} of ${rounds} times`);
      await retry(node);
    }
    return { ms, failedBeyond, tripped: rounds };
  } finally {
    await load.stop();
    await node.dispose();
  }
};
