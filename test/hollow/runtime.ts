import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import packageJson from '../../package.json' with { type: 'json' };
import { type Digest, namespaceOf, type ObjectKey } from '../../src/api/names.ts';
import { Identity_Kind } from '../../src/gen/adaptlet/control/v1/control.ts';
import { PlanInForce } from '../../src/runtime/plan-source/plan-in-force.ts';
import { effectiveWeight } from '../../src/runtime/routing/route.ts';
import { servingFacts } from '../../src/runtime/serving/facts.ts';
import { Quotas } from '../../src/runtime/serving/quotas/quotas.ts';
import { watchCanaries } from '../../src/runtime/start/canaries.ts';
import { createSignals } from '../../src/runtime/start/signals.ts';
import { memoryOf, recall } from '../../src/runtime/state/memory.ts';
import type { Dial } from '../../src/runtime/sync/dial.ts';
import { PullCredentials } from '../../src/runtime/sync/pull-credentials.ts';
import { type SyncParts, SyncSource } from '../../src/runtime/sync/source.ts';
import { type Clock, systemClock } from '../../src/time/clock.ts';
import { type Behaviour, budgetBytes, hollowResidency } from './ports.ts';

/** The base model that a runtime says it serves. */
export type HollowModel = {
  readonly name: string;
  readonly digest: Digest;
  /** Folder or reference, as the runtime was told it. */
  readonly source: string;
  readonly manifestDigest: Digest | '';
};

/** Whom a runtime serves: its node, or, as a sidecar, its pod. */
export type Serves = 'Node' | 'Pod';

export type HollowOptions = {
  /** Of the AdapterRuntime; `name` is that of the Node or Pod too. */
  readonly namespace: string;
  readonly name: string;
  readonly serves?: Serves;
  /** Default: the clock of this machine. */
  readonly clock?: Clock;
  /** Data folder; that of an earlier one for a restart. */
  readonly folder: string;
  readonly model: HollowModel;
  readonly behaviour: Behaviour;
  readonly dial: Dial;
  /** Called when another plan is in force, and when an adapter changed its state. */
  readonly changed?: () => void;
};

/** A rollout as a hollow runtime has it: what the plan allows its canary, and what a request would meet. */
export type Weights = { readonly allowed: number; readonly effective: number };

/** A rollout as the plan in force has it. Digests are '' where there is none. */
export type FollowedRollout = Weights & { readonly stable: string; readonly canary: string };
/** What a plan in force says. */
export type Followed = {
  /** By namespace/name. */
  readonly rollouts: Readonly<Record<string, FollowedRollout>>;
  /** Those of all its adapters, rollouts and routes. */
  readonly namespaces: readonly string[];
};

const silent = pino({ enabled: false });

/** A runtime without an engine. All that an operator sees of it is made by the code of a runtime, as runtime.ts puts it together. */
export const startHollow = async (options: HollowOptions) => {
  const { namespace, name, folder, model, behaviour, dial, changed = () => undefined } = options;
  const { serves = 'Node', clock = systemClock } = options;
  const logger = silent;
  const memory = memoryOf(folder);
  const remembered = await recall(memory, logger);
  const signals = createSignals();
  const instance = randomUUID();
  const { holds, trials, guard, counts, feedbackKeys } = watchCanaries(
    { clock, logger, instance, planSaved: () => source.saved() },
    { memory, remembered },
    signals,
  );
  const budgets = () => ({
    requests: 8,
    adapterMemory: budgetBytes,
    adapterDisk: budgetBytes,
    kvMemory: Number.POSITIVE_INFINITY,
  });
  const quotas = new Quotas({ clock, logger, budgets });
  const named = { name, behaviour, baseModel: model.name, baseDigest: model.digest };
  const residency = hollowResidency({ ...named, clock, logger, trials, quotas });
  const facts = servingFacts(residency, guard, trials);
  const plan = new PlanInForce({
    residency,
    guard,
    counts,
    quotas,
    baseModel: model.name,
    trials,
    changed: () => signals.emit('planned'),
  });
  const executionProvider = 'CPUExecutionProvider';
  const modelView: ReturnType<SyncParts['node']['model']> = {
    source: model.source,
    state: 'Ready',
    reason: '',
    message: '',
    manifestDigest: model.manifestDigest,
    receivedBytes: 0,
    totalBytes: 0,
    bytesPerSecond: 0,
    baseDigest: model.digest,
    executionProvider,
    refusedProviders: [],
    loraOperator: '',
    operators: {},
    limits: [],
  };
  const source = new SyncSource({
    clock,
    logger,
    random: Math.random,
    operator: { address: '', dial },
    pulls: new PullCredentials(clock),
    feedbackKeys,
    introduction: () => ({
      identity: { namespace, name, kind: serves === 'Node' ? Identity_Kind.NODE : Identity_Kind.POD },
      instance,
      version: packageJson.version,
      baseModel: model.name,
      baseDigest: model.digest,
      executionProvider,
      maxRank: 256,
      labels: {},
    }),
    remembered: { plan: remembered.plan, link: remembered.link },
    memory: { plan: memory.plan, link: memory.link },
    plan,
    holds,
    residency,
    retryFailed: (code, reason) => residency.retryFailed(code, reason),
    node: {
      adapters: () => residency.facts(),
      counts: counts.served,
      splits: counts.splits,
      mirrored: counts.copies,
      elsewhere: counts.elsewhere,
      facts,
      memory: () => residency.usage(),
      disk: () => ({ budgetBytes, usedBytes: residency.usage().storedBytes }),
      ready: () => ({ ok: true, reason: '' }),
      refused: () => quotas.refused(),
      classifiers: () => new Map(),
      model: () => modelView,
    },
  });
  signals.on('planned', changed);
  signals.on('admitted', changed);
  signals.on('held', () => source.wake());
  signals.on('admitted', () => source.wake());
  residency.onTransition((transition) => {
    trials.transition(transition);
    source.wake();
    changed();
  });
  residency.onNoted(() => source.wake());
  source.resume();
  await source.follow();
  trials.start();
  return {
    name,
    holds,
    get isConnected(): boolean {
      return source.report().operator?.state === 'connected';
    },
    /** How its connection stands, for people. */
    get connection(): string {
      const { state = 'none', since = '', lastError = '' } = source.report().operator ?? {};
      return `${state} since ${since}${lastError === '' ? ', no stream has ended' : `: ${lastError}`}`;
    },
    /** Why the last stream ended, or none came about; '' when none did. */
    get lastError(): string {
      return source.report().operator?.lastError ?? '';
    },
    /** Undefined while it does not have the rollout. */
    weights(rollout: ObjectKey): Weights | undefined {
      const split = plan.table.splits.get(rollout);
      if (split === undefined) return undefined;
      const { canary, weight } = split.body;
      return { allowed: canary === undefined ? 0 : weight, effective: effectiveWeight(split, facts) };
    },
    followed(): Followed {
      const { splits, adapters, routes } = plan.table;
      const rollouts: Record<string, FollowedRollout> = {};
      for (const [key, split] of splits) {
        const { stable, canary, weight } = split.body;
        rollouts[key] = {
          stable: stable?.digest ?? '',
          canary: canary?.digest ?? '',
          allowed: canary === undefined ? 0 : weight,
          effective: effectiveWeight(split, facts),
        };
      }
      const keys = [...splits.keys(), ...adapters.keys(), ...routes.keys()];
      return { rollouts, namespaces: [...new Set(keys.map(namespaceOf))] };
    },
    async close(): Promise<void> {
      await trials.close();
      await source.close();
      await residency.close();
    },
  };
};

export type HollowRuntime = Awaited<ReturnType<typeof startHollow>>;
