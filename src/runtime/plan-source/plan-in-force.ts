import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { Plan, SplitResource } from '../../plan/resources.ts';
import type { Residency } from '../residency/manager.ts';
import { buildTable, partsOf, type RoutingTable, sourceRefusalOf } from '../routing/table.ts';
import type { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import type { Guard } from '../serving/guard/guard.ts';
import type { Trials } from '../serving/guard/trials.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';

type PlanParts = {
  readonly residency: Residency;
  readonly guard: Pick<Guard, 'follow'>;
  readonly counts: RolloutCounts;
  readonly quotas: Pick<Quotas, 'follow'>;
  /** Called when another plan is in force. */
  readonly changed?: () => void;
  readonly baseModel: string;
  /** Absent: nothing is on trial. */
  readonly trials?: Pick<Trials, 'follow'> | undefined;
};

/**
 * The plan that this runtime follows: what requests are routed by, what residency holds, which guards watch.
 *
 * Guarantee: a request sees the table of one plan, as a whole.
 */
export class PlanInForce {
  readonly #parts: PlanParts;
  readonly #uids = new Map<ObjectKey, string>();
  #table: RoutingTable;

  constructor(parts: PlanParts) {
    this.#parts = parts;
    this.#table = buildTable(new Map(), { name: parts.baseModel });
  }

  get table(): RoutingTable {
    return this.#table;
  }

  /** uid of the Adapter object that residency has under this key. */
  uidOf(key: ObjectKey): string | undefined {
    return this.#uids.get(key);
  }

  apply(plan: Plan): void {
    const { residency, guard, counts, quotas, baseModel, trials } = this.#parts;
    const before = this.#table;
    const resources = [...plan.values()];
    const adapters = resources.filter((r) => r.type === 'AdapterSpec');
    const splits = resources.filter((r) => r.type === 'Split');
    this.#uids.clear();
    for (const { name, body } of adapters) this.#uids.set(name, body.uid);
    const rollouts = new Map(splits.map((s) => [s.body.uid, s.body]));
    guard.follow(rollouts);
    trials?.follow(rollouts);
    counts.follow(splits);
    // Routing first: from here on nothing new asks for what residency is about to drain.
    this.#table = buildTable(plan, { name: baseModel }, before);
    quotas.follow(this.#table);
    this.#parts.changed?.();
    const table = this.#table;
    residency.apply(adapters, (key, source) => sourceRefusalOf(table, partsOf(key)[0], source));
    for (const split of splits) {
      const again = triedAgain(before.splits.get(split.name), split);
      if (again !== undefined && residency.state(again)?.kind === 'Failed') residency.retry(again);
    }
  }
}

/** The canary that a person had tried again: what this node refused in an earlier attempt counts no more. */
const triedAgain = (before: SplitResource | undefined, now: SplitResource): ObjectKey | undefined => {
  const { canary, uid } = now.body;
  const former = before?.body.canary;
  if (canary === undefined || former === undefined || before?.body.uid !== uid) return undefined;
  if (canary.uid !== former.uid || canary.attempt <= former.attempt) return undefined;
  const [namespace] = partsOf(now.name);
  return objectKey(namespace, canary.adapter);
};
