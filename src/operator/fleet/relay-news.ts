import type { ObjectKey } from '../../api/names.ts';
import type { RelayRequest } from '../../gen/adaptlet/control/v1/control.ts';
import type { RuntimeKey } from './fleet.ts';
import { hasCanary } from './has-canary.ts';
import { ToldExamples } from './relay-examples.ts';
import { ToldRollouts } from './relay-rollouts.ts';
import { type FleetStore, type LocalEvent, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';

type Due = 'Whole' | 'Gone' | Readonly<Record<'adapters' | 'rollouts' | 'routes', Set<ObjectKey>>>;
type Message = NonNullable<RelayRequest['message']>;

/** What one stream to the leader has to tell: everything that the runtimes of this replica said, then what changed. */
export class RelayNews {
  readonly #fleet: FleetStore;
  /** Of each runtime, in the order in which they are told of. Never more than what is known of it. */
  readonly #due = new Map<RuntimeKey, Due>();
  readonly #rollouts = new ToldRollouts();
  #examples: ToldExamples | undefined;

  constructor(fleet: FleetStore) {
    this.#fleet = fleet;
    const held = [...fleet.heldBy(local)];
    // Canaries are judged by what the leader knows.
    for (const state of [...held.filter(hasCanary), ...held]) this.#due.set(state.key, 'Whole');
  }

  /** The leader reads examples, as it says first. */
  readsExamples(): void {
    this.#examples = new ToldExamples();
  }

  note({ key, change }: LocalEvent): void {
    if (change === 'Opened') this.#due.set(key, 'Whole');
    else if (change === 'Gone') this.#due.set(key, 'Gone');
    else {
      const due = this.#due.get(key) ?? { adapters: new Set(), rollouts: new Set(), routes: new Set() };
      this.#due.set(key, due);
      if (typeof due === 'string') return;
      for (const adapter of change.adapters) due.adapters.add(adapter);
      for (const rollout of change.rollouts) due.rollouts.add(rollout);
      for (const route of change.routes) due.routes.add(route);
    }
  }

  /** Messages, each made when it is asked for. What was not asked for stays due. */
  *messages(): Generator<Message, undefined> {
    for (const [key, due] of this.#due) {
      this.#due.delete(key);
      const message = this.#messageOf(key, due);
      if (message !== undefined) yield message;
    }
  }

  #messageOf(key: RuntimeKey, due: Due): Message | undefined {
    const state = this.#fleet.get(key);
    if (due === 'Gone') this.#rollouts.gone(key);
    if (state === undefined) return undefined;
    if (due === 'Gone') {
      const { identity } = runtimeToWire(state, { adapters: new Set(), rollouts: new Set() });
      return identity === undefined ? undefined : { $case: 'gone', value: identity };
    }
    if (due !== 'Whole') return { $case: 'runtime', value: this.#rollouts.newsOf(state, due) };
    this.#rollouts.whole(state);
    return { $case: 'runtime', value: this.#examples?.wholeOf(state) ?? runtimeToWire(state, 'Whole') };
  }
}
