import { type Digest, objectKey } from '../api/names.ts';
import type { RolloutObject } from '../api/objects.ts';
import { keyOf } from '../api/references.ts';
import type { Engine } from './engine/engine.ts';
import type { PlanInForce } from './plan-in-force.ts';
import type { Residency } from './residency/manager.ts';
import type { ServingFacts } from './routing/decision.ts';
import { effectiveWeight } from './routing/route.ts';
import type { Holds } from './serving/holds.ts';
import type { ServedCounts } from './serving/served-counts.ts';
import type { RolloutView, RuntimeStatus } from './serving/serving.ts';
import type { StandaloneController } from './standalone/controller.ts';

export type StatusParts = {
  readonly version: string;
  readonly instance: string;
  readonly uptimeMs: () => number;
  readonly baseModel: string;
  readonly manifests: string;
  readonly disk: () => RuntimeStatus['disk'];
  readonly engine: Engine;
  readonly residency: Residency;
  readonly plan: PlanInForce;
  readonly holds: Holds;
  readonly counts: ServedCounts;
  readonly facts: ServingFacts;
  readonly controller: StandaloneController;
};

/** What the runtime is, has and serves. */
export class StatusReport {
  readonly #parts: StatusParts;
  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  now(): RuntimeStatus {
    const p = this.#parts;
    const { executionProvider, baseDigest } = p.engine.info();
    const { budgetBytes, usedBytes } = p.residency.usage();
    return {
      version: p.version,
      instance: p.instance,
      uptimeMs: p.uptimeMs(),
      baseModel: p.baseModel,
      baseDigest,
      engine: p.engine.state,
      executionProvider,
      memory: { budgetBytes, usedBytes },
      disk: p.disk(),
      manifests: { folder: p.manifests, ...p.controller.folderReport() },
      adapters: p.residency.facts(),
      rollouts: p.controller.rollouts().map((r) => this.rollout(r)),
      routes: [...p.plan.table.routes.values()].map(({ key, resource, accepted, message }) => {
        return { key, model: resource.body.model, accepted, message };
      }),
    };
  }

  /** A rollout: what was decided about it, and what this runtime does with it. */
  rollout({ metadata, status, ...rest }: RolloutObject): RolloutView {
    const { plan, facts, holds, counts } = this.#parts;
    const key = keyOf({ metadata, ...rest });
    const split = plan.table.splits.get(key);
    const canary: Digest | undefined = status?.canary?.digest;
    const { step } = status ?? {};
    return {
      key: objectKey(metadata.namespace, metadata.name),
      phase: status?.phase ?? 'Progressing',
      message: status?.message ?? '',
      stable: status?.stable?.adapter ?? '',
      canary: status?.canary?.adapter ?? '',
      step: step === undefined ? '' : `${Math.min(step.index + 1, step.total)}/${step.total}`,
      weight: status?.weights.canary ?? 0,
      effectiveWeight: split === undefined ? 0 : effectiveWeight(split, facts),
      served: counts.of(key),
      held: holds.of(metadata.uid).find((hold) => hold.canaryDigest === canary)?.reason ?? '',
    };
  }
}
