import { type Condition, conditionOf } from '../../api/condition.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';
import type { ControllerParts } from './controller.ts';
import { movedIn, type Presences, type PresentRuntime } from './presence.ts';

/** What says which objects a runtime concerns. */
export type Spot = Pick<PresentRuntime, 'scope' | 'labels' | 'baseModel'>;

type Sources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly presences: Pick<Presences, 'of'>;
};

/**
 * Tells of runtimes that came, went, are another process or have another place: where they were and where they are. Those of
 * `afterMs` milliseconds are told together. The result ends it.
 */
export const followMoves = (
  { clock, objects, fleet, presences }: Sources,
  afterMs: number,
  tell: (spots: readonly Spot[]) => void,
): (() => void) => {
  const known = new Map<RuntimeKey, Spot>();
  const gathered = new Set<Spot>();
  let cancel: (() => void) | undefined;
  const move = (key: RuntimeKey): void => {
    const [was, is] = [known.get(key), presences.of(key)];
    // One that comes and goes has the same spot all the time.
    const isSame = was?.scope === is?.scope && was?.labels === is?.labels && was?.baseModel === is?.baseModel;
    if (was !== undefined) gathered.add(was);
    if (isSame) return;
    if (is === undefined) known.delete(key);
    else {
      const { scope, labels, baseModel } = is;
      const spot = { scope, labels, baseModel };
      known.set(key, spot);
      gathered.add(spot);
    }
  };
  const moved = (key: RuntimeKey): void => {
    move(key);
    cancel ??= clock.after(afterMs, () => {
      cancel = undefined;
      const spots = [...gathered];
      gathered.clear();
      tell(spots);
    });
  };
  for (const { key } of objects.runtimes.list()) move(key);
  gathered.clear();
  const stops = [
    objects.runtimes.onChange((change) => {
      if (movedIn(change) !== 'None') moved(change.key);
    }),
    fleet.onChange(({ runtime, connection }) => {
      if (connection) moved(runtime);
    }),
  ];
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};

/** While no runtime fits, a status counts all that the namespace sees. One that is not written yet may say so next. */
export const countsAll = (status: { readonly conditions: readonly Condition[] } | undefined): boolean =>
  status === undefined || conditionOf(status.conditions, 'Schedulable')?.reason === 'NoRuntime';
