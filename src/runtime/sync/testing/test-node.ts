import { type Logger, pino } from 'pino';
import type { ObjectKey } from '../../../api/names.ts';
import type { HeldPlan } from '../../../control/held-plan.ts';
import { Identity_Kind } from '../../../gen/adaptlet/control/v1/control.ts';
import { type Clock, systemClock } from '../../../time/clock.ts';
import type { ClassifierState } from '../../classifiers/classifiers.ts';
import { PlanInForce } from '../../plan-source/plan-in-force.ts';
import { FeedbackKeys } from '../../serving/counts/feedback-keys.ts';
import { RolloutCounts } from '../../serving/counts/rollout-counts.ts';
import { servingFacts } from '../../serving/facts.ts';
import { Guard } from '../../serving/guard/guard.ts';
import { Holds } from '../../serving/guard/holds.ts';
import type { LimitName } from '../../serving/quotas/quotas.ts';
import { memoryOf, recall } from '../../state/memory.ts';
import type { Dial } from '../dial.ts';
import { PullCredentials } from '../pull-credentials.ts';
import { SyncSource } from '../source.ts';
import { FakeResidency } from './fake-residency.ts';

export type TestNodeOptions = {
  /** Data folder; that of an earlier node for a restart. */
  readonly folder: string;
  readonly dial?: Dial | undefined;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Called before the plan is written. */
  readonly beforeWrite?: (plan: HeldPlan) => Promise<void>;
  /** Default: always 0.5. */
  readonly random?: () => number;
};

/** A runtime that follows an operator, without an engine. */
export const startTestNode = async (options: TestNodeOptions) => {
  const {
    folder,
    dial,
    clock = systemClock,
    logger = pino({ enabled: false }),
    beforeWrite,
    random = () => 0.5,
  } = options;
  const memory = memoryOf(folder);
  const remembered = await recall(memory, logger);
  const residency = new FakeResidency();
  const usage = { memory: { budgetBytes: 1000, usedBytes: 0 }, disk: { budgetBytes: 1000, usedBytes: 0 } };
  const refused: { namespace: string; limit: LimitName; refused: number }[] = [];
  const classifiers = new Map<ObjectKey, readonly ClassifierState[]>();
  const kept = remembered.feedback ?? { own: 'f'.repeat(64), given: [] };
  let written: Promise<unknown> = Promise.resolve();
  const feedbackKeys = new FeedbackKeys(kept, ({ own, given }) => {
    written = memory.feedback.write({ own, given: [...given] }).catch(() => undefined);
  });
  const counted = (): void => source.counted();
  const tally = new RolloutCounts(counted, counted, { instance: 'instance-1', keys: feedbackKeys });
  const holds = new Holds(remembered.holds, {
    clock,
    logger,
    write: (all) => memory.holds.write({ holds: [...all] }),
  });
  const guard = new Guard({ clock, holds });
  holds.onChange(({ kind }) => {
    if (kind === 'held') source.wake();
  });
  const plan = new PlanInForce({
    residency: residency.whole,
    guard,
    counts: tally,
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
  });
  const facts = servingFacts(residency.whole, guard);
  const pulls = new PullCredentials(clock);
  const source = new SyncSource({
    pulls,
    feedbackKeys,
    clock,
    logger,
    random,
    operator: dial === undefined ? undefined : { address: 'operator:9443', dial },
    introduction: () => ({
      identity: { namespace: 'adaptlet-system', name: 'node-1', kind: Identity_Kind.NODE },
      instance: 'instance-1',
      version: '0.1.0',
      baseModel: 'tiny',
      baseDigest: `sha256:${'b'.repeat(64)}`,
      executionProvider: 'CPUExecutionProvider',
      maxRank: 256,
      labels: { zone: 'a' },
    }),
    remembered: { plan: remembered.plan, link: remembered.link },
    memory: {
      link: memory.link,
      plan: {
        write: async (held) => {
          await beforeWrite?.(held);
          await memory.plan.write(held);
        },
      },
    },
    plan,
    holds,
    residency: residency.whole,
    retryFailed: (code) => residency.retryFailed(code),
    node: {
      adapters: () => residency.facts(),
      counts: tally.served,
      splits: tally.splits,
      mirrored: tally.copies,
      elsewhere: tally.elsewhere,
      facts,
      memory: () => usage.memory,
      disk: () => usage.disk,
      ready: () => ({ ok: true, reason: '' }),
      refused: () => refused,
      classifiers: () => classifiers,
      model: () => ({
        source: '/models/tiny',
        state: 'Ready',
        reason: '',
        message: '',
        manifestDigest: '',
        receivedBytes: 0,
        totalBytes: 0,
        bytesPerSecond: 0,
        baseDigest: '',
        executionProvider: 'CPUExecutionProvider',
        refusedProviders: [],
        loraOperator: '',
        operators: {},
        limits: [],
      }),
    },
  });
  source.resume();
  await source.follow();
  return {
    source,
    pulls,
    feedbackKeys,
    residency,
    plan,
    holds,
    counts: tally.served,
    tally,
    facts,
    usage,
    refused,
    classifiers,
    memory,
    get operator() {
      const { operator } = source.report();
      if (operator === undefined) throw new Error('a node that follows an operator says so');
      return operator;
    },
    [Symbol.asyncDispose]: async () => {
      await source.close();
      await written;
    },
  };
};
