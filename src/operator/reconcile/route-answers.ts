import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../api/names.ts';
import type { ClassifierState, RuntimeState } from '../fleet/fleet.ts';
import { Bits } from './bits.ts';
import { dividedAll, type Group, type SaidOfRoute } from './group.ts';
import { Variants } from './variants.ts';

/** A route, and the version of all routes from which on a plan has it as it is asked about. */
export type RouteQuestion = { readonly key: ObjectKey; readonly since: bigint };

/** What a runtime puts before the key of a route that it refuses. */
export const refusedAs = 'Route ';

/** Of all routes together. */
const every = '' as ObjectKey;
const nothing: SaidOfRoute = { isReached: false, refusal: undefined, classifiers: undefined };

/** What runtimes answered of routes, kept up with each of them. */
export class RouteAnswers {
  /** The newest version of routes in a plan that each answered. */
  readonly #reached = new Variants<bigint>((a, b) => a === b);
  /** By the route as it is refused. */
  readonly #refusals = new Variants<string>((a, b) => a === b);
  readonly #refused = new Map<number, RuntimeState['refused']>();
  readonly #classifiers = new Variants<readonly ClassifierState[]>(isDeepStrictEqual);

  /** `routes`: of whose classifiers it says something else than before. */
  say(
    runtime: number,
    { acknowledged, refused, classifiers }: Pick<RuntimeState, 'acknowledged' | 'refused' | 'classifiers'>,
    routes: Iterable<ObjectKey>,
  ): void {
    this.#reached.set(every, runtime, acknowledged.routes);
    this.#refuse(runtime, refused);
    for (const route of routes) this.#classifiers.set(route, runtime, classifiers?.get(route));
  }

  /** It says nothing any more. */
  silence(runtime: number): void {
    this.#reached.set(every, runtime, undefined);
    this.#refuse(runtime, new Map());
    this.#classifiers.clear(runtime);
  }

  /** Groups in parts that say the same of the route. `runtimes`: how many there are. */
  divided(groups: readonly Group[], { key, since }: RouteQuestion, runtimes: number): readonly Group[] {
    const reached = this.#reached
      .of(every)
      .filter(({ value }) => value >= since)
      .reduce((all, one) => all.or(one.runtimes), new Bits());
    const byReach = groups.flatMap((group) => {
      const both = [
        { ...group, runtimes: group.runtimes.and(reached), route: { ...nothing, isReached: true } },
        { ...group, runtimes: group.runtimes.without(reached), route: nothing },
      ];
      return both.filter((part) => part.runtimes.size > 0);
    });
    const byRefusal = dividedAll(byReach, {
      variants: this.#refusals.of((refusedAs + key) as ObjectKey),
      runtimes,
      answer: ({ route = nothing }, refusal) => ({ route: { ...route, refusal } }),
    });
    return dividedAll(byRefusal, {
      variants: this.#classifiers.of(key),
      runtimes,
      answer: ({ route = nothing, profile }, told = []) => ({
        route: { ...route, classifiers: profile.tellsClassifiers ? told : undefined },
      }),
    });
  }

  #refuse(runtime: number, refused: RuntimeState['refused']): void {
    const before = this.#refused.get(runtime);
    if (before === refused) return;
    for (const name of new Set([...(before?.keys() ?? []), ...refused.keys()]))
      if (name.startsWith(refusedAs)) this.#refusals.set(name as ObjectKey, runtime, refused.get(name));
    if (refused.size > 0) this.#refused.set(runtime, refused);
    else this.#refused.delete(runtime);
  }
}
