import type { Step } from '../../api/rollout.ts';
import type { Draft } from '../draft.ts';
import { nextAttempt } from '../moves.ts';
import type { RequestVerb } from '../request.ts';
import { firstStep } from '../step-state.ts';
import { refuse } from '../verbs.ts';
import type { Groups } from './groups.ts';

/** Applies a verb to the groups of a canary that is under way. False: it is not about a group, or not about it alone. */
export const applyGroupVerb = (
  draft: Draft,
  groups: Groups,
  verb: RequestVerb,
  { steps, at }: { readonly steps: readonly Step[]; readonly at: string },
): boolean => {
  if (draft.abort !== undefined) {
    if (verb === 'retry') draft.groups = undefined;
    return false;
  }
  const failed = groups.list.filter(({ phase }) => phase === 'Failed' || phase === 'RolledBack');
  const [first] = failed;
  if (first === undefined) return verb === 'promote' && promotePaused(draft, groups, steps);
  switch (verb) {
    case 'promote':
      if (first.phase === 'RolledBack')
        refuse(draft, verb, `group ${first.name} went back to stable; retry starts it again`);
      else {
        for (const { name, runtimes } of failed)
          groups.change(name, { phase: 'Progressing', accepted: runtimes?.failed ?? 0, message: '' });
        draft.events.push({
          reason: 'StepPromoted',
          message: `group ${first.name} goes on with its failures`,
        });
      }
      return true;
    case 'retry':
      if (draft.canary !== undefined) draft.canary = { ...draft.canary, attempt: nextAttempt(draft) };
      for (const { name } of failed)
        groups.change(name, {
          phase: 'Progressing',
          startedAt: at,
          weight: 0,
          step: 0,
          accepted: undefined,
          message: '',
        });
      draft.weight = 0;
      draft.mirror = 0;
      draft.step = firstStep(steps);
      draft.analysis = [];
      draft.analyses = [];
      draft.events.push({ reason: 'Retried', message: `group ${first.name} starts again at the first step` });
      return true;
    case 'promote-full':
      for (const { name, runtimes } of failed)
        groups.change(name, { phase: 'Progressing', accepted: runtimes?.failed ?? 0, message: '' });
      return false;
    case 'abort':
    case 'rollback':
      return false;
    default:
      return verb satisfies never;
  }
};

const promotePaused = (draft: Draft, groups: Groups, steps: readonly Step[]): boolean => {
  const { present } = groups;
  if (present?.group.phase !== 'Paused') return false;
  groups.change(present.group.name, { phase: 'Succeeded' });
  // The next one may be on its way already, and goes on from its own step.
  if (draft.step?.full !== true) groups.showPresent(steps);
  draft.events.push({ reason: 'StepPromoted', message: `the group after ${present.group.name} begins` });
  return true;
};
