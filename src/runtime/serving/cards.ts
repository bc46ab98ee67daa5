import type { Digest, ObjectKey } from '../../api/names.ts';
import { objectKey } from '../../api/names.ts';
import type { Residency } from '../residency/manager.ts';
import type { ServingFacts } from '../routing/decision.ts';
import { resolve } from '../routing/names.ts';
import { stableArm } from '../routing/stable-arm.ts';
import { partsOf, type RoutingTable, refusalOfBase } from '../routing/table.ts';
import type { ModelCard } from './serving.ts';

type Base = { readonly name: string; readonly digest: Digest | ''; readonly startedAt: string };
type Available = Pick<ModelCard, 'ready' | 'reason' | 'digest' | 'labels'>;

const notHere: Available = { ready: false, reason: 'it is not on this runtime', digest: '' };

/** Resident, or loadable on demand: an adapter is ready unless it failed or is not known. */
const adapterOf = (residency: Residency, key: ObjectKey): Available => {
  const state = residency.state(key);
  if (state === undefined) return notHere;
  const digest = residency.resolved(key) ?? '';
  const labels = residency.view(key)?.labels;
  if (state.kind !== 'Failed') {
    return { ready: true, reason: '', digest, ...(labels === undefined ? {} : { labels }) };
  }
  return { ready: false, reason: `${state.failure.code}: ${state.failure.message}`, digest };
};

/** What a client may send as `model`, and whether it would be answered. */
export class Cards {
  readonly #table: () => RoutingTable;
  readonly #residency: Residency;
  readonly #facts: ServingFacts;
  readonly #base: () => Base;

  constructor(table: () => RoutingTable, residency: Residency, facts: ServingFacts, base: () => Base) {
    this.#table = table;
    this.#residency = residency;
    this.#facts = facts;
    this.#base = base;
  }

  /** The names of a namespace and the base model's. */
  all(namespace: string): ModelCard[] {
    const names = this.#table().namespaces.get(namespace);
    const prefixed = [
      ...[...(names?.routes.keys() ?? [])].map((name) => `route:${name}`),
      ...[...(names?.rollouts.keys() ?? [])].map((name) => `rollout:${name}`),
      ...[...(names?.adapters.keys() ?? [])].map((name) => `adapter:${name}`),
    ];
    const cards = prefixed.map((name) => this.one(namespace, name));
    // A name that two objects have is answered by the first of them.
    const byName = new Map(cards.toReversed().map((card) => [card.id, card]));
    return [this.one(namespace, `base:${this.#base().name}`), ...byName.values()];
  }

  /** @throws MODEL_NOT_FOUND with the nearest names */
  one(namespace: string, name: string): ModelCard {
    const table = this.#table();
    const found = resolve(table, namespace, name);
    const base = this.#base();
    const plain = name.replace(/^(route|rollout|adapter|base):/, '');
    const card = (available: Available, createdAt: string): ModelCard => ({
      id: plain,
      kind: found.kind,
      parent: base.name,
      createdAt,
      ...available,
    });
    switch (found.kind) {
      case 'base': {
        const refusal = refusalOfBase(table, namespace);
        const reason = refusal ?? (base.digest === '' ? 'the base model is loading' : '');
        return {
          ...card(
            {
              ready: reason === '',
              reason,
              digest: base.digest,
            },
            base.startedAt,
          ),
          parent: '',
        };
      }
      case 'route':
        return card(
          { ready: found.route.accepted, reason: found.route.message, digest: '' },
          found.route.resource.body.createdAt,
        );
      case 'rollout': {
        const { message, createdAt } = found.split.body;
        const stable = stableArm(
          found.split,
          this.#facts,
          refusalOfBase(table, partsOf(found.split.name)[0]),
        );
        if (stable === undefined) return card({ ready: false, reason: message, digest: '' }, createdAt);
        if (stable.kind === 'base') return card({ ready: true, reason: '', digest: base.digest }, createdAt);
        if (stable.kind === 'none')
          return card({ ready: false, reason: stable.trouble, digest: '' }, createdAt);
        const [owner = ''] = found.split.name.split('/');
        const available = adapterOf(this.#residency, objectKey(owner, stable.bound.adapter));
        return card({ ...available, digest: stable.bound.digest }, createdAt);
      }
      case 'adapter':
        return card(adapterOf(this.#residency, found.adapter.name), base.startedAt);
    }
  }
}
