import type { ObjectKey } from '../api/names.ts';
import type { Plan } from '../plan/resources.ts';
import type { Residency } from './residency/manager.ts';
import { buildTable, type RoutingTable } from './routing/table.ts';
import type { Holds } from './serving/holds.ts';

/**
 * The plan that this runtime follows: what requests are routed by, what residency holds, which guards watch.
 *
 * Guarantee: a request sees the table of one plan, as a whole.
 */
export class PlanInForce {
  readonly #parts: { readonly residency: Residency; readonly holds: Holds; readonly baseModel: string };
  readonly #uids = new Map<ObjectKey, string>();
  #table: RoutingTable;

  constructor(parts: { readonly residency: Residency; readonly holds: Holds; readonly baseModel: string }) {
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
    const { residency, holds, baseModel } = this.#parts;
    const resources = [...plan.values()];
    const adapters = resources.filter((r) => r.type === 'AdapterSpec');
    const splits = resources.filter((r) => r.type === 'Split');
    this.#uids.clear();
    for (const { name, body } of adapters) this.#uids.set(name, body.uid);
    holds.setGuards(new Map(splits.map((s) => [s.body.uid, s.body.guard])));
    // Routing first: from here on nothing new asks for what residency is about to drain.
    this.#table = buildTable(plan, { name: baseModel }, this.#table);
    residency.apply(adapters);
  }
}
