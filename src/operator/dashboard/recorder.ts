import { conditionOf } from '../../api/condition.ts';
import { revisionText } from '../../control/revision.ts';
import type { RolloutHistory } from '../../dashboard/history.ts';
import { rolloutView } from '../../dashboard/rollouts.ts';
import { planTaken, type Timeline } from '../../dashboard/timeline.ts';
import type { Clock } from '../../time/clock.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { RuntimeObject } from '../objects/objects.ts';
import type { SeenObjects } from './objects-view.ts';

export type RecorderParts = {
  readonly objects: Pick<SeenObjects, 'rollouts' | 'runtimes'>;
  readonly fleet: Fleet;
  readonly history: RolloutHistory;
  readonly timeline: Timeline;
  readonly clock: Clock;
};

/** Conditions of a runtime whose changes are told: their type, and what it is called when they turn true and false. */
const told = {
  Connected: ['Connected', 'Went away'],
  Ready: ['Ready', 'Not ready'],
  InSync: ['Whole plan in force', 'Refused parts of its plan'],
  RemovalsHeld: ['Holds removals back', 'Holds no removals back'],
  Cordoned: ['Cordoned', 'Not cordoned any more'],
  Held: ['Held', 'Not held any more'],
  ProviderReady: ['Execution provider in use', 'Runs on the CPU instead'],
  ModelMatches: ['Has the base model of most', 'Has another base model'],
} as const;

/** Remembers what changes, from now on. The result ends it. */
export const record = ({ objects, fleet, history, timeline, clock }: RecorderParts): (() => void) => {
  for (const { object } of objects.rollouts.list())
    if (object !== undefined) history.saw(rolloutView(object), clock.now());
  const ends = [
    objects.rollouts.onChange(({ type, key, object: { object } }) => {
      if (type === 'deleted') history.forget(key);
      else if (object !== undefined) history.saw(rolloutView(object), clock.now());
    }),
    objects.runtimes.onChange(({ type, key, object, before }) => {
      if (type === 'deleted') timeline.forget(key);
      else
        for (const [what, message] of differences(before?.object, object.object))
          timeline.happened(key, clock.now(), what, message);
    }),
    fleet.onChange(({ runtime, acknowledged }) => {
      if (!acknowledged) return;
      const state = fleet.get(runtime);
      if (state !== undefined && state.refused.size === 0)
        timeline.happened(runtime, clock.now(), planTaken, `revision ${revisionText(state.acknowledged)}`);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
};

/** What is other in the status of a runtime, in words. */
const differences = (
  before: RuntimeObject | undefined,
  after: RuntimeObject | undefined,
): (readonly [what: string, message: string])[] => {
  if (after?.status === undefined || before === after) return [];
  const found: (readonly [string, string])[] = [];
  for (const [type, [whenTrue, whenFalse]] of Object.entries(told)) {
    const now = conditionOf(after.status.conditions, type);
    const then = conditionOf(before?.status?.conditions, type);
    if (now === undefined || now.status === 'Unknown') continue;
    // Where nothing is wrong at first there is no news.
    const isNews = then === undefined ? type === 'Connected' : then.status !== now.status;
    const isRefusal = type === 'InSync' && now.status === 'False' && then?.message !== now.message;
    if (isNews || isRefusal) found.push([now.status === 'True' ? whenTrue : whenFalse, now.message]);
  }
  const held = new Set(after.status.heldRollouts);
  const wasHeld = new Set(before?.status?.heldRollouts);
  for (const rollout of held)
    if (!wasHeld.has(rollout)) found.push(['Holds a canary or stable back', rollout]);
  for (const rollout of wasHeld)
    if (!held.has(rollout)) found.push(['Lets a canary or stable go on', rollout]);
  return found;
};
