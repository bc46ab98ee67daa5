import { conditionOf } from '../api/condition.ts';
import { objectKey } from '../api/names.ts';
import type { AdapterObject, PolicyObject, RolloutObject } from '../api/objects.ts';
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
 * not written there do not exist. `policy`: the one that holds for its namespace.
 */
export const splitOf = (
  rollout: RolloutObject,
  adapters: Adapters,
  runtime: RuntimeView,
  policy: PolicyObject | undefined,
): Versioned<SplitResource> => {
  const arms = armsOf(rollout, adapters, runtime, policy);
  // All that the arms have is of the rollout: only which of them there are, which former one may serve, what a group allows and
  // the message depend on anything else.
  const { weight, mirror, former, message } = arms;
  const variant = [...Object.keys(arms), weight, mirror, former?.uid, former?.digest, message].join(' ');
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

const armsOf = (
  rollout: RolloutObject,
  adapters: Adapters,
  runtime: RuntimeView,
  policy: PolicyObject | undefined,
): Arms => {
  const { spec, status } = rollout;
  const none = (why: string): Arms => ({ weight: 0, message: `AdapterRollout ${keyOf(rollout)} ${why}` });
  if (!selects(spec.runtimeSelector, runtime.labels)) {
    return none(
      `does not apply to this runtime: its runtimeSelector wants ${labelsText(spec.runtimeSelector)}`,
    );
  }
  if (status === undefined) return none('has no status yet: nothing was chosen to serve');

  const objectOf = (bound: BoundAdapter | undefined): AdapterObject | undefined =>
    adapters.get(objectKey(rollout.metadata.namespace, bound?.adapter ?? ''));
  const otherBase = (bound: BoundAdapter | undefined): string | undefined => {
    const adapter = objectOf(bound);
    if (adapter === undefined || adapter.spec.baseModel === runtime.baseModel) return undefined;
    return `${adapter.metadata.name} is for the base model ${adapter.spec.baseModel}, this runtime has ${runtime.baseModel}`;
  };
  const stable = otherBase(status.stable) === undefined ? status.stable : undefined;
  const canary = otherBase(status.canary) === undefined ? status.canary : undefined;
  const isAdmitted = (bound: BoundAdapter): boolean | undefined => {
    const adapter = objectOf(bound);
    if (adapter === undefined) return undefined;
    return (
      adapter.metadata.uid === bound.uid && otherBase(bound) === undefined && !isUnsigned(adapter, policy)
    );
  };
  const former = formerOf(status, isAdmitted);
  const { weight, mirror } = assignmentOf(status, rollout.metadata.uid, { key: '', ...runtime });
  const foreign = otherBase(status.stable);
  return {
    ...(stable === undefined ? {} : { stable }),
    ...(former === undefined ? {} : { former }),
    ...(canary === undefined ? {} : { canary }),
    weight: canary === undefined ? 0 : weight,
    ...(canary === undefined || mirror === 0 ? {} : { mirror }),
    message:
      stable === undefined
        ? none(foreign === undefined ? withoutStable(status.message) : `has nothing here: ${foreign}`).message
        : '',
  };
};

/**
 * The newest of what was stable before that may serve. Passed over is what a rollback took away, what is not signed as it has
 * to be, and what its policy keeps out: nothing on a node goes back to that. Where no object says that one may serve, the
 * newest of which nothing is known: its object may be there and not valid, and then nodes keep what they have.
 */
const formerOf = (
  { history, completionStatus }: RolloutStatus,
  isAdmitted: (bound: BoundAdapter) => boolean | undefined,
): BoundAdapter | undefined => {
  const formers = completionStatus === 'FastRolledBack' ? history.slice(1) : history;
  return (
    formers.find((one) => isAdmitted(one) === true) ?? formers.find((one) => isAdmitted(one) === undefined)
  );
};

/** It has to be signed, and is known not to be. */
export const isUnsigned = ({ spec, status }: AdapterObject, policy: PolicyObject | undefined): boolean =>
  (spec.signatures !== undefined || policy?.spec.signatures?.required === true) &&
  conditionOf(status?.conditions, 'SignatureVerified')?.status === 'False';

const withoutStable = (message: string): string =>
  `has no stable adapter yet${message === '' ? '' : `: ${message}`}`;

const labelsText = (selector: Selector | undefined): string =>
  Object.entries(selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(', ');
