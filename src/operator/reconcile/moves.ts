import { type Condition, conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';
import type { ControllerParts } from './controller.ts';
import { movedIn, type Presences, type PresentRuntime } from './presence.ts';
import { type Spot, Spots } from './spots.ts';

export type Moves = {
  /** Where runtimes were and where they are. */
  readonly spots: Spots;
  /** Of which those that are seen by others than before say something: how large an adapter is counts for all who see them. */
  readonly adapters: ReadonlySet<ObjectKey>;
  /** Those that came or went away, or are ready or not any more (`FleetChange.connection`). */
  readonly connections: ReadonlySet<RuntimeKey>;
};

type Sources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly presences: Pick<Presences, 'of'>;
};

/**
 * Tells of runtimes that came, went, are another process or have another place. Those of `afterMs` milliseconds are told
 * together. The result ends it.
 */
export const followMoves = (
  { clock, objects, fleet, presences }: Sources,
  afterMs: number,
  tell: (moves: Moves) => void,
): (() => void) => {
  const known = new Map<RuntimeKey, Spot>();
  const gathered = {
    spots: new Set<Spot>(),
    adapters: new Set<ObjectKey>(),
    connections: new Set<RuntimeKey>(),
  };
  let cancel: (() => void) | undefined;
  const move = (key: RuntimeKey): void => {
    const [was, is] = [known.get(key), spotOf(presences.of(key))];
    if (was !== undefined) gathered.spots.add(was);
    // One that comes and goes has the same spot all the time.
    if (canonicalJson({ spot: was }) === canonicalJson({ spot: is })) return;
    if (is === undefined) known.delete(key);
    else {
      known.set(key, is);
      gathered.spots.add(is);
    }
    for (const adapter of fleet.get(key)?.adapters.keys() ?? []) gathered.adapters.add(adapter);
  };
  const moved = (key: RuntimeKey): void => {
    move(key);
    cancel ??= clock.after(afterMs, () => {
      cancel = undefined;
      const { spots, adapters, connections } = gathered;
      const moves = {
        spots: new Spots(spots),
        adapters: new Set(adapters),
        connections: new Set(connections),
      };
      for (const set of Object.values(gathered)) set.clear();
      tell(moves);
    });
  };
  for (const { key } of objects.runtimes.list()) {
    const is = spotOf(presences.of(key));
    if (is !== undefined) known.set(key, is);
  }
  const stops = [
    objects.runtimes.onChange((change) => {
      if (movedIn(change) !== 'None') moved(change.key);
    }),
    fleet.onChange(({ runtime, connection }) => {
      if (connection) gathered.connections.add(runtime);
      // One that is forgotten is again what is written of it.
      if (connection || fleet.get(runtime) === undefined) moved(runtime);
    }),
  ];
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};

const spotOf = (runtime: PresentRuntime | undefined): Spot | undefined =>
  runtime && { scope: runtime.scope, labels: runtime.labels, baseModel: runtime.baseModel };

/** While no runtime fits, a status counts all that the namespace sees. One that is not written yet may say so next. */
export const countsAll = (status: { readonly conditions: readonly Condition[] } | undefined): boolean =>
  status === undefined || conditionOf(status.conditions, 'Schedulable')?.reason === 'NoRuntime';
