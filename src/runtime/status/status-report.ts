import type { SplitResource } from '../../plan/resources.ts';
import type { ProviderView, RolloutView, RuntimeStatus } from '../admin/views.ts';
import type { EngineClient } from '../engine/client/client.ts';
import type { Engine, EngineInfo } from '../engine/engine.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { DecidedRollout, PlanSource } from '../plan-source/plan-source.ts';
import type { PressureView } from '../pressure/memory-pressure.ts';
import type { Residency } from '../residency/manager.ts';
import type { ServingFacts } from '../routing/decision.ts';
import { effectiveWeight } from '../routing/route.ts';
import { stableArm } from '../routing/stable-arm.ts';
import { partsOf, type RoutingTable, refusalOfBase } from '../routing/table.ts';
import type { ServedCounts } from '../serving/counts/served-counts.ts';
import type { Holds } from '../serving/guard/holds.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';
import type { Hold } from '../state/memory.ts';

export type StatusParts = {
  readonly version: string;
  readonly instance: string;
  readonly uptimeMs: () => number;
  readonly baseModel: string;
  readonly model: () => RuntimeStatus['model'];
  readonly identity: () => ProviderView & Pick<RuntimeStatus, 'baseDigest'> & Pick<EngineInfo, 'kv'>;
  readonly disk: () => RuntimeStatus['disk'];
  /** Artifacts that the disk lost since the start, and those of them that are not back. */
  readonly lost: () => { readonly damaged: number; readonly awaited: number };
  readonly engine: Engine & Pick<EngineClient, 'now'>;
  readonly residency: Residency;
  readonly memory: { readonly view: () => PressureView; readonly warnings: () => readonly string[] };
  readonly plan: PlanInForce;
  readonly holds: Pick<Holds, 'ofRollout'>;
  readonly counts: ServedCounts;
  readonly quotas: Pick<Quotas, 'notKept'>;
  /** What the request ports lack; '' when nothing. */
  readonly lacking: () => string;
  readonly facts: ServingFacts;
  readonly source: Pick<PlanSource, 'rollouts' | 'report'>;
};

/** What the runtime is, has and serves. */
export class StatusReport {
  readonly #parts: StatusParts;
  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  now(): RuntimeStatus {
    const p = this.#parts;
    const { executionProvider, refusedProviders, operators, loraOperator, limits, baseDigest, kv } =
      p.identity();
    const { budgetBytes, usedBytes, limit } = p.residency.usage();
    return {
      version: p.version,
      instance: p.instance,
      uptimeMs: p.uptimeMs(),
      baseModel: p.baseModel,
      baseDigest,
      model: p.model(),
      engine: p.engine.state,
      executionProvider,
      refusedProviders,
      operators,
      loraOperator,
      limits: [
        ...limits,
        ...p.memory.warnings(),
        ...p.quotas.notKept,
        ...lossOf(p.lost()),
        ...(p.lacking() === '' ? [] : [p.lacking()]),
      ],
      ...(kv === undefined ? {} : { keysAndValues: kv }),
      memory: { budgetBytes, usedBytes },
      memoryPressure: p.memory.view(),
      shortages: [...(limit === undefined ? [] : [limit]), ...(p.engine.now?.limits ?? [])],
      disk: p.disk(),
      ...p.source.report(),
      adapters: p.residency.facts(),
      rollouts: p.source.rollouts().map((r) => this.rollout(r)),
      routes: [...p.plan.table.routes.values()].map(({ key, resource, accepted, message }) => {
        return { key, model: resource.body.model, accepted, message };
      }),
    };
  }

  /** A rollout: what was decided about it, and what this runtime does with it. */
  rollout({ uid, stableDigest, canaryDigest, ...decided }: DecidedRollout): RolloutView {
    const { plan, facts, holds, counts } = this.#parts;
    const split = plan.table.splits.get(decided.key);
    const held = holds
      .ofRollout(uid)
      .find(({ arm, digest }) => digest === (arm === 'stable' ? stableDigest : canaryDigest));
    return {
      ...decided,
      effectiveWeight: split === undefined ? 0 : effectiveWeight(split, facts),
      served: counts.ofRollout(decided.key),
      held: held?.reason ?? '',
      ...(split === undefined ? {} : withoutStable(split, { table: plan.table, facts, held })),
    };
  }
}

const lossOf = ({ damaged, awaited }: ReturnType<StatusParts['lost']>): readonly string[] =>
  damaged === 0
    ? []
    : [
        `the disk lost or changed ${damaged} stored artifacts since the start, ${awaited} of them are not back yet: check the disk`,
      ];

/** Where stable does not answer: whatever was decided, the rollout is Degraded on this node. */
const withoutStable = (
  split: SplitResource,
  {
    table,
    facts,
    held,
  }: { readonly table: RoutingTable; readonly facts: ServingFacts; readonly held: Hold | undefined },
): Partial<Pick<RolloutView, 'phase' | 'message'>> => {
  const arm = stableArm(split, facts, refusalOfBase(table, partsOf(split.name)[0]));
  const reason = held?.arm === 'stable' ? held.reason : '';
  if (arm === undefined || `${arm.trouble}${reason}` === '') return {};
  const who = arm.kind === 'base' ? 'the base model' : arm.kind === 'none' ? 'nothing' : arm.bound.adapter;
  return { phase: 'Degraded', message: `on this node ${who} serves: ${arm.trouble || reason}` };
};
