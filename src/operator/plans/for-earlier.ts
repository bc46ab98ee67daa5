import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import { objectKeyIn } from '../../plan/object-index.ts';
import { resourcesOf } from '../../plan/overlaid.ts';
import {
  areHinting,
  type PolicyField,
  policyFields,
  unknownFieldsOf,
  withoutFields,
  withoutHints,
} from '../../plan/policy-fields.ts';
import { Remembered } from '../../plan/remembered.ts';
import {
  type KeysResource,
  type Plan,
  type PolicyResource,
  type Versioned,
  versioned,
} from '../../plan/resources.ts';
import { splitWithout } from './restrained.ts';

type Policy = Versioned<PolicyResource>;
type Keys = Versioned<KeysResource>;

export type ForEarlierInput = {
  readonly plan: Plan;
  readonly withheld: ReadonlySet<string>;
  /** Present: all other keys stay as they are. */
  readonly only?: ReadonlySet<string> | undefined;
  /** Fields of policies that the runtime enforces, as its Hello says. */
  readonly known: ReadonlySet<string>;
  /** Adapters that it reports. */
  readonly reported: Iterable<ObjectKey>;
};

export type PlanForEarlier = Pick<ForEarlierInput, 'plan' | 'withheld' | 'only'> & {
  /** What it is not sent, by the key of the policy: why, for people. */
  readonly notEnforced: ReadonlyMap<string, string>;
};

/** What reasons of {@link PlanForEarlier.notEnforced} begin with. */
export const notEnforced = 'not enforced there: ';

const none: ReadonlyMap<string, string> = new Map();

/**
 * The plan of a runtime of an earlier version. Policies come without the fields that it does not know, so that all else of
 * them reaches it. Where such a field forbids what the runtime would go on doing, it has no adapter of the namespaces that
 * the policy holds for: their rollouts answer why, their other routes stay, and adapters that it has go, also while it is
 * held or their object is not valid. The very plan where it knows all fields. Pure.
 */
export const planForEarlier = (input: ForEarlierInput): PlanForEarlier => {
  const { plan, withheld, only, known, reported } = input;
  if (Object.keys(policyFields).every((field) => known.has(field))) return { ...input, notEnforced: none };
  const policies = [...resourcesOf(plan, 'Policy').values()].filter((one) => one.type === 'Policy');
  const unknown = new Map(
    policies.flatMap((policy) => {
      const fields = unknownFieldsOf(policy.body, known);
      return fields.length === 0 ? [] : [[policy, fields] as const];
    }),
  );
  const keys = known.has('clients.rights.Hints') ? [] : [...resourcesOf(plan, 'Keys')];
  const hinting = keys.flatMap(([key, one]) =>
    one.type === 'Keys' && areHinting(one.body.keys) ? [[key, one] as const] : [],
  );
  if (unknown.size + hinting.length === 0) return { ...input, notEnforced: none };

  const changed = new Map(plan);
  for (const [key, one] of hinting) changed.set(key, unhinting(one));
  for (const [policy, fields] of unknown) changed.set(`Policy ${policy.name}`, without(policy, fields));
  const forbids = (policy: Policy | undefined): boolean =>
    (policy && unknown.get(policy))?.some((field) => policyFields[field] === 'Withhold') === true;
  const own = new Map(policies.map((policy) => [namespaceOf(policy.name), policy]));
  const general = policies.find(({ body }) => body.isDefault);
  const isForbidden = (name: ObjectKey): boolean => forbids(own.get(namespaceOf(name)) ?? general);
  const gone = new Set<string>();
  for (const [key, resource] of plan) {
    if (resource.type === 'Policy' || resource.type === 'Keys' || !isForbidden(resource.name)) continue;
    if (resource.type === 'Split') changed.set(key, splitWithout(resource, upgradeIt(resource.name)));
    else if (
      resource.type === 'AdapterSpec' ||
      resource.body.rules.some((rule) => rule.perUser !== undefined)
    )
      changed.delete(key);
    gone.add(key);
  }
  // What is in no plan any more may serve there as well, and so may what is not valid now, before it reports that.
  for (const key of reported) if (isForbidden(key)) gone.add(`AdapterSpec ${key}`);
  for (const key of withheld)
    if (key.startsWith('AdapterSpec ') && isForbidden(objectKeyIn(key))) gone.add(key);
  const reasons = [...unknown].map(
    ([policy, fields]) => [`Policy ${policy.name}`, why(policy, fields)] as const,
  );
  return {
    plan: changed,
    withheld: new Set([...withheld].filter((key) => !gone.has(key))),
    ...(only === undefined ? {} : { only: new Set([...only, ...gone]) }),
    notEnforced: new Map(reasons.filter(([, reason]) => reason !== '')),
  };
};

const remembered = new Remembered<Policy, Policy>();

const without = (policy: Policy, fields: readonly PolicyField[]): Policy =>
  remembered.of(policy, fields.join(), () => {
    const { type, name, body } = policy;
    return versioned({ type, name, body: withoutFields(body, fields) });
  });

const rememberedKeys = new Remembered<Keys, Keys>();

const unhinting = (keys: Keys): Keys =>
  rememberedKeys.of(keys, '', () => {
    const { type, name, body } = keys;
    return versioned({ type, name, body: { keys: withoutHints(body.keys) } });
  });

const upgradeIt = (rollout: ObjectKey): string =>
  `AdapterRollout ${rollout} has nothing here: the runtime does not know a field of the policy of its namespace; upgrade it`;

/** '' where nothing is withheld. */
const why = ({ body }: Policy, fields: readonly PolicyField[]): string => {
  const forbidding = fields
    .filter((field) => policyFields[field] === 'Withhold')
    .map((field) => `spec.${field}`);
  if (forbidding.length === 0) return '';
  const whose = body.isDefault ? 'its namespace and namespaces without a policy' : 'its namespace';
  return `${notEnforced}this version does not know ${forbidding.join(', ')}, so no adapter of ${whose} is sent; upgrade the runtime`;
};
