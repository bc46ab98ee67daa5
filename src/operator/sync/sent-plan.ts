import type { ObjectKey } from '../../api/names.ts';
import type { Plan } from '../../plan/resources.ts';
import type { FleetStore } from '../fleet/store.ts';
import type { Objects } from '../objects/objects.ts';
import { restraintOf } from '../objects/restraint.ts';
import { planForEarlier } from '../plans/for-earlier.ts';
import type { RuntimePlan } from '../plans/plans.ts';
import { planWhenCordoned } from '../plans/when-cordoned.ts';
import { planWhenHeld } from '../plans/when-held.ts';
import type { Introduced } from './hello.ts';

/** What of its plan one runtime may be sent: less while it is cordoned or held, and what its version enforces. */
export class SentPlan {
  readonly #objects: Objects;
  readonly #fleet: Pick<FleetStore, 'get'>;
  readonly #key: ObjectKey;
  readonly #hello: Pick<Introduced, 'connectionSeq' | 'policyFields'>;
  #enforced: { readonly of: Plan; readonly plan: Plan } | undefined;

  constructor(
    { objects, fleet }: { readonly objects: Objects; readonly fleet: Pick<FleetStore, 'get'> },
    key: ObjectKey,
    hello: Pick<Introduced, 'connectionSeq' | 'policyFields'>,
  ) {
    this.#objects = objects;
    this.#fleet = fleet;
    this.#key = key;
    this.#hello = hello;
  }

  get isRestrained(): boolean {
    const object = this.#objects.runtimes.get(this.#key)?.object;
    return object !== undefined && restraintOf(object) !== undefined;
  }

  /**
   * Undefined: nothing now; a restrained runtime has to say first what it has.
   *
   * @param versionOf version of a resource that the runtime holds
   */
  of(now: RuntimePlan | undefined, versionOf: (key: string) => string | undefined): RuntimePlan | undefined {
    const restrained = this.#restrained(now, versionOf);
    if (restrained === undefined) return undefined;
    const { plan, withheld, only } = restrained;
    const reported = this.#fleet.get(this.#key)?.adapters.keys() ?? [];
    const earlier = planForEarlier({ plan, withheld, only, known: this.#hello.policyFields, reported });
    return earlier.plan === plan ? restrained : { ...restrained, ...earlier };
  }

  /** What its version enforces of its plan: it gets no credential or certificate for more. */
  enforced(now: RuntimePlan | undefined): Plan | undefined {
    if (now === undefined) return undefined;
    const { plan, withheld } = now;
    if (this.#enforced?.of !== plan) {
      const earlier = planForEarlier({ plan, withheld, known: this.#hello.policyFields, reported: [] });
      this.#enforced = { of: plan, plan: earlier.plan };
    }
    return this.#enforced.plan;
  }

  #restrained(
    now: RuntimePlan | undefined,
    versionOf: (key: string) => string | undefined,
  ): RuntimePlan | undefined {
    const object = this.#objects.runtimes.get(this.#key)?.object;
    const restraint = object && restraintOf(object);
    if (now === undefined || object === undefined || restraint === undefined) return now;
    const state = this.#fleet.get(this.#key);
    if (state?.connectionSeq !== this.#hello.connectionSeq) return undefined;
    const restrain = restraint === 'Held' ? planWhenHeld : planWhenCordoned;
    const { plan, withheld } = now;
    const rolloutOf = (name: ObjectKey) => this.#objects.rollouts.get(name)?.object;
    const adapterOf = (name: ObjectKey) => this.#objects.adapters.get(name)?.object;
    const runtime = { key: this.#key, labels: object.metadata.labels };
    return { ...now, ...restrain({ plan, withheld, state, runtime, rolloutOf, adapterOf, versionOf }) };
  }
}
