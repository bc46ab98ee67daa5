import { conditionOf } from '../../api/condition.ts';
import type { RuntimeObject } from './objects.ts';

/**
 * What keeps new things from a runtime. Cordoned: it gets nothing that it does not have. Held: nothing changes there but
 * what takes something back.
 */
export type Restraint = 'Cordoned' | 'Held';

/** Reason of the condition Cordoned of a runtime that is cordoned because its Node is. */
export const nodeCordoned = 'NodeCordoned';

type Restrained = Pick<RuntimeObject, 'spec' | 'status'>;

/**
 * The restraint of a runtime. What a person asks for counts at once, on every replica; the cordon of its Node once the
 * leader has written it down.
 */
export const restraintOf = ({ spec, status }: Restrained): Restraint | undefined => {
  if (spec.held === true) return 'Held';
  const cordoned = conditionOf(status?.conditions, 'Cordoned');
  const byNode = cordoned?.status === 'True' && cordoned.reason === nodeCordoned;
  return spec.cordoned === true || byNode ? 'Cordoned' : undefined;
};

/** RFC 3339 time since when it is restrained, as written down; undefined: it is not, or that was not written yet. */
export const restrainedSinceOf = (runtime: Restrained): string | undefined => {
  const restraint = restraintOf(runtime);
  const condition = restraint && conditionOf(runtime.status?.conditions, restraint);
  return condition?.status === 'True' ? condition.lastTransitionTime : undefined;
};
