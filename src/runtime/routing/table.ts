import { refusalOfSource } from '../../api/allowed-source.ts';
import { classifierProblems, patternProblem } from '../../api/classifier-references.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { HashOn } from '../../api/rollout.ts';
import type { PerUser, Target } from '../../api/route.ts';
import type { Source } from '../../api/source.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Change } from '../../plan/changes.ts';
import type {
  AdapterResource,
  KeysResource,
  Plan,
  PolicyResource,
  RouteResource,
  SplitResource,
  Versioned,
} from '../../plan/resources.ts';
import { type Requirement, requirementOf } from '../../signature/requirement.ts';
import { compileMatches, type Matcher } from './match.ts';
import { compilePick, type Pick } from './pick.ts';
import { indexRules, type RuleIndex } from './rule-index.ts';
import { compileSticky, type Sticky } from './sticky.ts';

/** A rule with everything compiled that can be. Exactly one of pick, perUser is present in a rule that the schema passed. */
export type CompiledRule = {
  readonly name: string;
  readonly matches: Matcher;
  readonly pick?: Pick;
  readonly perUser?: PerUser;
  /** Absent: each request is decided by itself. */
  readonly sticky?: Sticky;
  readonly hashOn: HashOn;
  readonly fallback: readonly Target[];
};

/** A route as it came, with its rules compiled; `accepted` false: it has no rules, and `message` says why. */
export type RouteEntry = {
  readonly key: ObjectKey;
  readonly name: string;
  readonly resource: Versioned<RouteResource>;
  readonly rules: readonly CompiledRule[];
  /** Places of the rules that may take a request. */
  readonly candidates: RuleIndex;
  readonly accepted: boolean;
  readonly message: string;
};

/** The names of one namespace. Routes are found by their `model`, the others by their object's name. */
export type NamespaceNames = {
  readonly routes: ReadonlyMap<string, RouteEntry>;
  readonly rollouts: ReadonlyMap<string, Versioned<SplitResource>>;
  readonly adapters: ReadonlyMap<string, Versioned<AdapterResource>>;
};

/** How requests find what serves them. Immutable: another plan makes another table, and a request uses one throughout. */
export type RoutingTable = {
  readonly base: { readonly name: string };
  readonly namespaces: ReadonlyMap<string, NamespaceNames>;
  readonly splits: ReadonlyMap<ObjectKey, Versioned<SplitResource>>;
  readonly adapters: ReadonlyMap<ObjectKey, Versioned<AdapterResource>>;
  /** By namespace. */
  readonly policies: ReadonlyMap<string, Versioned<PolicyResource>>;
  /** Holds for namespaces that have no policy; absent: nobody wrote one. */
  readonly defaultPolicy?: Versioned<PolicyResource> | undefined;
  /** Keys of callers out of Secrets, by namespace. */
  readonly keys: ReadonlyMap<string, Versioned<KeysResource>>;
  /** Every route of the plan, also those that were not accepted. */
  readonly routes: ReadonlyMap<ObjectKey, RouteEntry>;
};

type MutableNames = {
  readonly routes: Map<string, RouteEntry>;
  readonly rollouts: Map<string, Versioned<SplitResource>>;
  readonly adapters: Map<string, Versioned<AdapterResource>>;
};

/**
 * Compiles a plan. Rules of routes that did not change are taken over from `previous`.
 *
 * Guarantees: never throws for a bad resource: a route with a bad pattern, or whose model name is taken, is there with
 * `accepted` false and its reason, and harms no other.
 */
export const buildTable = (
  plan: Plan,
  base: { readonly name: string },
  previous?: RoutingTable,
): RoutingTable => {
  const namespaces = new Map<string, MutableNames>();
  const splits = new Map<ObjectKey, Versioned<SplitResource>>();
  const adapters = new Map<ObjectKey, Versioned<AdapterResource>>();
  const routes = new Map<ObjectKey, RouteEntry>();
  const keys = new Map<string, Versioned<KeysResource>>();
  const found: Versioned<RouteResource>[] = [];

  const namesOf = (namespace: string): MutableNames => {
    const known = namespaces.get(namespace);
    if (known !== undefined) return known;
    const names = { routes: new Map(), rollouts: new Map(), adapters: new Map() };
    namespaces.set(namespace, names);
    return names;
  };
  for (const resource of plan.values()) {
    const [namespace, name] = partsOf(resource.name);
    switch (resource.type) {
      case 'AdapterSpec':
        adapters.set(resource.name, resource);
        namesOf(namespace).adapters.set(name, resource);
        break;
      case 'Split':
        splits.set(resource.name, resource);
        namesOf(namespace).rollouts.set(name, resource);
        break;
      case 'Policy':
        break;
      case 'Keys':
        keys.set(namespace, resource);
        break;
      case 'Route':
        found.push(resource);
    }
  }
  for (const resource of found.toSorted(byAge)) {
    const [namespace] = partsOf(resource.name);
    const { model } = resource.body;
    const names = namesOf(namespace);
    const owner = names.routes.get(model);
    const taken =
      model === base.name
        ? `the model name ${model} is reserved for the base model`
        : owner && `the model name ${model} belongs to the older route ${owner.name}`;
    const entry = taken === undefined ? compileRoute(resource, previous) : refusedRoute(resource, taken);
    routes.set(resource.name, entry);
    if (taken === undefined) names.routes.set(model, entry);
  }
  return { base, namespaces, splits, adapters, routes, keys, ...policiesIn(plan) };
};

/**
 * The table of a plan that has these changes since `before`. Where adapters and rollouts alone changed, of namespaces that there
 * were and are, all else is taken over.
 */
export const tableAfter = (before: RoutingTable, plan: Plan, changes: readonly Change[]): RoutingTable => {
  const splits = changes.flatMap(({ before: old, now = old }) =>
    now?.type === 'Split' ? [placed(now, now !== old)] : [],
  );
  const adapters = changes.flatMap(({ before: old, now = old }) =>
    now?.type === 'AdapterSpec' ? [placed(now, now !== old)] : [],
  );
  const anew = (): RoutingTable => buildTable(plan, before.base, before);
  if (splits.length + adapters.length < changes.length) return anew();
  const splitsIn = Map.groupBy(splits, ({ namespace }) => namespace);
  const adaptersIn = Map.groupBy(adapters, ({ namespace }) => namespace);
  const namespaces = new Map(before.namespaces);
  for (const namespace of new Set([...splitsIn.keys(), ...adaptersIn.keys()])) {
    const names = before.namespaces.get(namespace);
    if (names === undefined) return anew();
    const next = {
      routes: names.routes,
      rollouts: withPlaced(names.rollouts, splitsIn.get(namespace), ({ name }) => name),
      adapters: withPlaced(names.adapters, adaptersIn.get(namespace), ({ name }) => name),
    };
    if (next.routes.size + next.rollouts.size + next.adapters.size === 0) return anew();
    namespaces.set(namespace, next);
  }
  return {
    ...before,
    namespaces,
    splits: withPlaced(before.splits, splits, ({ key }) => key),
    adapters: withPlaced(before.adapters, adapters, ({ key }) => key),
  };
};

/** What has a name from now on; undefined: nothing. */
type Placed<R> = {
  readonly key: ObjectKey;
  readonly namespace: string;
  readonly name: string;
  readonly resource: R | undefined;
};

const placed = <R extends Versioned>(resource: R, isThere: boolean): Placed<R> => {
  const [namespace, name] = partsOf(resource.name);
  return { key: resource.name, namespace, name, resource: isThere ? resource : undefined };
};

/** The same map, or a copy in the order of keys. */
const withPlaced = <K extends string, R>(
  map: ReadonlyMap<K, R>,
  all: readonly Placed<R>[] = [],
  keyOf: (one: Placed<R>) => K,
): ReadonlyMap<K, R> => {
  if (all.length === 0) return map;
  const copy = new Map(map);
  for (const one of all) {
    if (one.resource === undefined) copy.delete(keyOf(one));
    else copy.set(keyOf(one), one.resource);
  }
  const isSorted = all.every((one) => map.has(keyOf(one)));
  return isSorted ? copy : new Map([...copy].sort(([a], [b]) => (a < b ? -1 : 1)));
};

type Policies = {
  readonly policies: RoutingTable['policies'];
  readonly defaultPolicy?: RoutingTable['defaultPolicy'];
};

/** The policies of a plan. */
export const policiesIn = (plan: Plan): Policies => {
  const found = [...plan.values()].filter((resource) => resource.type === 'Policy');
  const policies = new Map(found.map((resource) => [partsOf(resource.name)[0], resource]));
  return { policies, defaultPolicy: found.find(({ body }) => body.isDefault) };
};

/** The policy that holds for a namespace: its own or the default one; undefined: neither was written. */
export const policyOf = (table: RoutingTable, namespace: string): PolicyResource['body'] | undefined =>
  policyResourceOf(table, namespace)?.body;

const policyResourceOf = (
  { policies, defaultPolicy }: Policies,
  namespace: string,
): Versioned<PolicyResource> | undefined => policies.get(namespace) ?? defaultPolicy;

/** Why the base model does not answer for a namespace; undefined: it does. */
export const refusalOfBase = (table: RoutingTable, namespace: string): string | undefined => {
  const policy = policyResourceOf(table, namespace);
  return policy?.body.base !== 'Deny'
    ? undefined
    : `the policy ${policy.name} does not let the base model ${table.base.name} answer for the namespace ${namespace} (spec.base: Deny)`;
};

/** Why adapters of a namespace may not come from a source, or from the template of one; undefined: they may. */
export const sourceRefusalOf = (table: Policies, namespace: string, source: Source): string | undefined => {
  const policy = policyResourceOf(table, namespace);
  return policy && refusalOfSource(policy.body.sources, source, policy.name);
};

/**
 * What an adapter has to be signed by; undefined: by nobody.
 *
 * @throws AdaptletError SIGNATURE_UNTRUSTED when its policy is not here, which says it
 */
export const signatureOf = (
  table: Policies,
  namespace: string,
  { signatures: own, signed }: Partial<AdapterResource['body']>,
): Requirement | undefined => {
  const policy = policyResourceOf(table, namespace);
  const signatures = policy?.body.signatures;
  if (signed === true && signatures === undefined) {
    const what = `the policy of the namespace ${namespace} says who has to have signed, and is not on this node`;
    throw new AdaptletError('SIGNATURE_UNTRUSTED', what, {
      advice:
        'Look into the log of the node for why it has not taken the policy; upgrade it where it is of an earlier version. Where the policy asks for no signatures any more: correct the Adapter if it is not valid, and release the runtime if it is held.',
    });
  }
  return requirementOf(
    policy === undefined || signatures === undefined ? undefined : { name: policy.name, signatures },
    own,
  );
};

/** Namespace and name of a key; names of objects have no "/". */
export const partsOf = (key: ObjectKey): readonly [namespace: string, name: string] => {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
};

/** The oldest first; among equally old ones the order is arbitrary but the same everywhere. */
const byAge = (a: RouteResource, b: RouteResource): number => {
  const [left, right] = [`${a.body.createdAt} ${a.name}`, `${b.body.createdAt} ${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
};

const refusedRoute = (resource: Versioned<RouteResource>, message: string): RouteEntry => {
  const [, name] = partsOf(resource.name);
  return { key: resource.name, name, resource, rules: [], candidates: () => [], accepted: false, message };
};

const compileRoute = (resource: Versioned<RouteResource>, previous: RoutingTable | undefined): RouteEntry => {
  const before = previous?.routes.get(resource.name);
  if (before?.accepted === true && before.resource.version === resource.version) return before;
  const [namespace, name] = partsOf(resource.name);
  const problem = classifierProblems(resource.body)[0]?.message ?? patternProblem(resource.body.rules);
  if (problem !== undefined)
    return refusedRoute(resource, `route ${resource.name} cannot be used: ${problem}`);
  const rules: CompiledRule[] = [];
  for (const one of resource.body.rules) {
    const { name: rule, matches, targets, perUser, hashOn, fallback } = one;
    const sticky = compileSticky(one);
    try {
      rules.push({
        name: rule,
        matches: compileMatches(matches),
        ...(targets === undefined ? {} : { pick: compilePick(namespace, name, rule, targets) }),
        ...(perUser === undefined ? {} : { perUser }),
        ...(sticky === undefined ? {} : { sticky }),
        hashOn,
        fallback,
      });
    } catch (error) {
      // The whole route: without this rule, its requests would go where a later rule sends them.
      const reason = error instanceof Error ? error.message : String(error);
      return refusedRoute(resource, `rule ${rule} of route ${resource.name} cannot be used: ${reason}`);
    }
  }
  const candidates = indexRules(rules.map(({ matches }) => matches));
  return { key: resource.name, name, resource, rules, candidates, accepted: true, message: '' };
};
