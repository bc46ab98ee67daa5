import { objectKey } from '../api/names.ts';
import type { RolloutObject } from '../api/objects.ts';
import { keyOf } from '../api/references.ts';
import { hashOnOf } from '../api/rollout.ts';
import type { BoundAdapter, RolloutStatus } from '../api/rollout-status.ts';
import { type Selector, selects } from '../api/selector.ts';
import { assignmentOf } from '../rollout/groups/assignment.ts';
import { Remembered } from './remembered.ts';
import { type SplitResource, type Versioned, versioned } from './resources.ts';
import type { Adapters } from './tiers.ts';

/** What the plan needs to know of the runtime that it is for. */
export type RuntimeView = {
  readonly baseModel: string;
  readonly labels: Readonly<Record<string, string>>;
  /** namespace/name of its AdapterRuntime: it says in which group it is. Absent on a node of its own. */
  readonly key?: string;
  /** The namespace of a pod, which serves that alone; policies choose among nodes. Absent: a node. */
  readonly scope?: string | undefined;
};

type Arms = Pick<SplitResource['body'], 'stable' | 'former' | 'canary' | 'weight' | 'mirror' | 'message'>;

const splits = new Remembered<RolloutObject, Versioned<SplitResource>>();

/**
 * How a rollout divides its traffic on this runtime. It is compiled from the status alone: weights and arms that are
 * not written there do not exist.
 */
export const splitOf = (
  rollout: RolloutObject,
  adapters: Adapters,
  runtime: RuntimeView,
): Versioned<SplitResource> => {
  const arms = armsOf(rollout, adapters, runtime);
  // All that the arms have is of the rollout: only which of them there are, what a group allows and the message depend on
  // anything else.
  const variant = [...Object.keys(arms), arms.weight, arms.mirror, arms.message].join(' ');
  return splits.of(rollout, variant, () =>
    versioned({
      type: 'Split',
      name: keyOf(rollout),
      body: {
        uid: rollout.metadata.uid,
        createdAt: rollout.metadata.creationTimestamp,
        ...arms,
        hashOn: hashOnOf(rollout.spec.strategy),
        guard: rollout.spec.guard,
        ...(rollout.spec.fallbackToBase ? { fallbackToBase: true } : {}),
      },
    }),
  );
};

const armsOf = (rollout: RolloutObject, adapters: Adapters, runtime: RuntimeView): Arms => {
  const { spec, status } = rollout;
  const none = (why: string): Arms => ({ weight: 0, message: `AdapterRollout ${keyOf(rollout)} ${why}` });
  if (!selects(spec.runtimeSelector, runtime.labels)) {
    return none(
      `does not apply to this runtime: its runtimeSelector wants ${labelsText(spec.runtimeSelector)}`,
    );
  }
  if (status === undefined) return none('has no status yet: nothing was chosen to serve');

  const otherBase = (bound: BoundAdapter | undefined): string | undefined => {
    const adapter = adapters.get(objectKey(rollout.metadata.namespace, bound?.adapter ?? ''));
    if (adapter === undefined || adapter.spec.baseModel === runtime.baseModel) return undefined;
    return `${adapter.metadata.name} is for the base model ${adapter.spec.baseModel}, this runtime has ${runtime.baseModel}`;
  };
  const stable = otherBase(status.stable) === undefined ? status.stable : undefined;
  const canary = otherBase(status.canary) === undefined ? status.canary : undefined;
  const former = formerOf(status);
  const { weight, mirror } = assignmentOf(status, rollout.metadata.uid, { key: '', ...runtime });
  const foreign = otherBase(status.stable);
  return {
    ...(stable === undefined ? {} : { stable }),
    ...(former === undefined || otherBase(former) !== undefined ? {} : { former }),
    ...(canary === undefined ? {} : { canary }),
    weight: canary === undefined ? 0 : weight,
    ...(canary === undefined || mirror === 0 ? {} : { mirror }),
    message:
      stable === undefined
        ? none(foreign === undefined ? withoutStable(status.message) : `has nothing here: ${foreign}`).message
        : '',
  };
};

/** What was stable before. One that a rollback took away is passed over: nothing on a node goes back to it. */
const formerOf = ({ history: [last, older], completionStatus }: RolloutStatus): BoundAdapter | undefined =>
  completionStatus === 'FastRolledBack' ? older : last;

const withoutStable = (message: string): string =>
  `has no stable adapter yet${message === '' ? '' : `: ${message}`}`;

const labelsText = (selector: Selector | undefined): string =>
  Object.entries(selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(', ');
