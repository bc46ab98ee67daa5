import type { GroupStatus } from '../../api/group-status.ts';
import type { Step } from '../../api/rollout.ts';
import { anew } from '../analysis/analyses.ts';
import type { Draft, Standing } from '../draft.ts';
import type { AdapterFact } from '../facts.ts';
import { giveUp } from '../moves.ts';
import { awaiting, givenUp } from '../standing.ts';
import { checkpointMs, durationOf, firstStep } from '../step-state.ts';
import type { Target } from '../target.ts';
import { type Groups } from './groups.ts';
import type { GroupTally } from './tally.ts';

export type Resolved = Extract<Target, { kind: 'Resolved' }>;

export type GroupTurn = {
  readonly groups: Groups;
  readonly steps: readonly Step[];
  readonly target: Resolved;
  /** Of the target, over the whole fleet. */
  readonly fact: AdapterFact;
  /** Milliseconds that a pause, an analysis or a bake ran until now. */
  readonly elapsedMs: number;
  /** Wall time, RFC 3339. */
  readonly at: string;
  /** Runs the steps of the present group; undefined: they are all done. */
  readonly run: (target: Resolved, elapsedMs: number) => Standing | undefined;
};

/**
 * Takes the canary through the groups, one after the other, and through all steps in each.
 * Returns undefined when every group has succeeded.
 */
export const advanceGroups = (draft: Draft, turn: GroupTurn): Standing | undefined => {
  const { groups, steps } = turn;
  if (draft.step?.full === true) return everywhere(draft, turn);
  let { elapsedMs } = turn;
  for (let { present } = groups; present !== undefined; { present } = groups) {
    const { name, phase } = present.group;
    if (phase === 'Pending') elapsedMs = 0;
    const waiting = phase === 'Pending' ? begin(draft, turn, present.group) : undefined;
    const isOpen = open(groups, name, turn.fact);
    // Runtimes may have refused the canary before their group began or was opened to them.
    const trouble = failuresOf(draft, turn);
    if (trouble !== undefined) return trouble;
    const standing = waiting ?? advance(draft, { ...turn, elapsedMs }, name, isOpen);
    if (draft.abort !== undefined) return standing;
    keep(draft, groups, name);
    if (standing !== undefined) return within(name, standing);
    // A later group may be on its way already, when this one had to start again.
    groups.showPresent(steps);
    elapsedMs = 0;
  }
  return undefined;
};

const within = (name: string, standing: Standing): Standing => ({
  ...standing,
  message: `group ${name}: ${standing.message}`,
});

/** The group remembers where it is. */
const keep = ({ weight, step }: Draft, groups: Groups, name: string): void => {
  const { phase } = groups.list.find((group) => group.name === name) ?? {};
  const index = phase === 'Pending' ? 0 : (step?.index ?? 0);
  groups.change(name, { weight: phase === 'RolledBack' ? 0 : weight, step: index });
};

/** Too many failures anywhere, in the order of the groups: the first that has them says what follows. */
export const failuresOf = (
  draft: Draft,
  { groups, fact, at, steps }: Pick<GroupTurn, 'groups' | 'fact' | 'at' | 'steps'>,
): Standing | undefined => {
  const before = groups.present?.group.name;
  for (const group of groups.begun) {
    const tally = groups.tally(group, fact);
    const spec = groups.specOf(group.name);
    const isOver = group.phase === 'Failed' || group.phase === 'RolledBack';
    if (tally === undefined || spec === undefined || isOver || !tally.isTooManyFailed) continue;
    const message = `${tally.failed} of ${tally.runtimes.desired} runtimes of group ${group.name} failed: ${tally.failedBecause}`;
    if (spec.errorAction === 'RollbackAll') {
      giveUp(draft, message, at);
      return givenUp(draft);
    }
    const back = spec.errorAction === 'RollbackGroup';
    draft.events.push({ reason: back ? 'GroupRolledBack' : 'GroupFailed', message });
    groups.change(group.name, {
      phase: back ? 'RolledBack' : 'Failed',
      message,
      ...(back ? { weight: 0, step: 0 } : {}),
    });
  }
  const failed = groups.list.find(({ phase }) => phase === 'Failed' || phase === 'RolledBack');
  if (failed === undefined) return undefined;
  const { present } = groups;
  if (present !== undefined && (present.group.name !== before || present.group.phase === 'RolledBack'))
    groups.showPresent(steps);
  const advice =
    failed.phase === 'Failed'
      ? 'promote goes on all the same, retry starts the group again, abort gives the canary up'
      : 'it is back on stable; retry starts it again, abort gives the canary up';
  return { phase: 'Paused', reason: 'GroupFailed', message: `${failed.message}; ${advice}` };
};

/** Begins a group. The result: why it cannot yet. */
const begin = (draft: Draft, { groups, steps, at }: GroupTurn, group: GroupStatus): Standing | undefined => {
  const { name } = group;
  const spec = groups.specOf(name);
  if (spec === undefined) return undefined;
  draft.weight = 0;
  draft.mirror = 0;
  draft.step = firstStep(steps);
  draft.analysis = draft.analysis.map(anew);
  const reach = groups.reachOf(spec);
  if (reach > 0) {
    const most = spec.maxConcurrency === undefined ? {} : { open: 0 };
    groups.change(name, { phase: 'Progressing', reach, startedAt: at, ...most });
    draft.events.push({ reason: 'GroupStarted', message: `group ${name} gets the canary` });
    return undefined;
  }
  const isLast = groups.list.at(-1)?.name === name;
  if (!isLast && groups.isAnybodyFor(spec))
    return {
      phase: 'Progressing',
      reason: 'AwaitingGroup',
      message: 'waits until one of its runtimes is connected',
    };
  // Who comes later belongs to a later group, or meets the canary as stable.
  groups.change(name, { phase: 'Succeeded', message: 'no runtime is in it' });
  return undefined;
};

/** What the present group waits for; undefined: it has succeeded. */
const advance = (draft: Draft, turn: GroupTurn, name: string, isOpen: boolean): Standing | undefined => {
  const { groups, target, fact } = turn;
  const group = groups.list.find((one) => one.name === name);
  const tally = group && groups.tally(group, fact);
  if (group === undefined || tally === undefined || group.phase === 'Succeeded') return undefined;
  if (group.phase === 'Paused') {
    const message = 'all went well; the next group waits until somebody promotes';
    return { phase: 'Paused', reason: 'AwaitingPromotion', message };
  }
  if (tally.isTooManyUnavailable) {
    const message = `${tally.unavailable} of ${tally.runtimes.desired} runtimes are not available`;
    return sooner({ phase: 'Paused', reason: 'GroupUnavailable', message }, tally);
  }
  const reached: Resolved = { ...target, fact: tally.fact };
  if (!isOpen || tally.fact.state !== 'Resident') return sooner(awaiting(reached), tally);
  if (group.phase === 'Baking') return bake(draft, turn, name);
  const waiting = runAll(draft, turn, reached, name);
  return waiting === undefined ? bake(draft, { ...turn, elapsedMs: 0 }, name) : sooner(waiting, tally);
};

/** A runtime that went offline is given up in time. */
const sooner = (standing: Standing, { nextMs }: Pick<GroupTally, 'nextMs'>): Standing =>
  nextMs === undefined
    ? standing
    : { ...standing, requeueAfterMs: Math.max(1, Math.min(standing.requeueAfterMs ?? checkpointMs, nextMs)) };

/** Lets more runtimes of the group load the canary. True: all of them may. */
const open = (groups: Groups, name: string, fact: AdapterFact): boolean => {
  for (;;) {
    const group = groups.list.find((one) => one.name === name);
    const tally = group && groups.tally(group, fact);
    if (tally === undefined || group?.open === undefined) return true;
    const more = tally.mayLoad - tally.loading;
    if (more < 1) return false;
    groups.change(name, { open: groups.openTo(group, more) });
  }
};

const runAll = (
  draft: Draft,
  { groups, elapsedMs, run }: GroupTurn,
  target: Resolved,
  name: string,
): Standing | undefined => {
  const waiting = run(target, elapsedMs);
  if (waiting !== undefined || draft.abort !== undefined) return waiting;
  if (draft.weight !== 100)
    draft.events.push({
      reason: 'WeightSet',
      message: `group ${name}: canary from ${draft.weight} to 100 %`,
    });
  draft.weight = 100;
  draft.mirror = 0;
  draft.step = draft.step && { ...draft.step, index: draft.step.total, elapsedMs: 0, promoted: false };
  groups.change(name, { phase: 'Baking', weight: 100, bakedMs: 0 });
  return undefined;
};

const bake = (draft: Draft, turn: GroupTurn, name: string): Standing | undefined => {
  const { groups, fact, elapsedMs } = turn;
  const group = groups.list.find((one) => one.name === name);
  const spec = groups.specOf(name);
  const tally = group && groups.tally(group, fact);
  if (group === undefined || spec === undefined || tally === undefined) return undefined;
  if (!tally.isFollowed) {
    const message = `${tally.runtimes.updated} of ${tally.runtimes.desired} runtimes follow, canary at 100 %`;
    return sooner({ phase: 'Progressing', reason: 'AwaitingResident', message }, tally);
  }
  const bakeMs = durationOf(spec.bakeTime) ?? 0;
  const bakedMs = Math.min(bakeMs, (group.bakedMs ?? 0) + elapsedMs);
  groups.change(name, { bakedMs });
  if (bakedMs < bakeMs) {
    const message = `bakes for ${spec.bakeTime}, canary at 100 %`;
    const requeueAfterMs = Math.min(bakeMs - bakedMs, checkpointMs);
    return sooner({ phase: 'Paused', reason: 'GroupBaking', message, requeueAfterMs }, tally);
  }
  draft.events.push({ reason: 'GroupSucceeded', message: `group ${name} keeps the canary` });
  groups.change(name, { phase: spec.successAction === 'Pause' ? 'Paused' : 'Succeeded' });
  if (spec.successAction === 'Next') return undefined;
  const message = 'all went well; the next group waits until somebody promotes';
  return { phase: 'Paused', reason: 'AwaitingPromotion', message };
};

/** Somebody skipped all that remains: every group begins, and the canary is stable when all of them are ready. */
const everywhere = (draft: Draft, turn: GroupTurn): Standing | undefined => {
  const { groups, target, fact, at } = turn;
  for (const { name, phase } of groups.list) {
    groups.change(name, { open: undefined });
    const spec = groups.specOf(name);
    if (phase !== 'Pending' || spec === undefined) continue;
    const { limit: _, ...whole } = spec;
    const reach = groups.reachOf(whole);
    if (reach > 0) groups.change(name, { phase: 'Progressing', startedAt: at, reach });
  }
  const trouble = failuresOf(draft, turn);
  if (trouble !== undefined) return trouble;
  for (const group of groups.list) {
    const tally = groups.tally(group, fact);
    if (group.reach === 0 || tally === undefined || tally.runtimes.desired === 0) continue;
    if (tally.fact.state !== 'Resident')
      return within(group.name, sooner(awaiting({ ...target, fact: tally.fact }), tally));
  }
  return undefined;
};
