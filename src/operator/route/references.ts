import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, Manifest, PolicyObject, RolloutObject, RouteObject } from '../../api/objects.ts';
import { keyOf, type ReferenceFinding, referenceFindings } from '../../api/references.ts';
import { policyFindings } from '../../plan/policy-findings.ts';
import type { Caches } from '../reconcile/controller.ts';

/** What is wrong with the targets of a route. */
export type RouteFindings = {
  /** Targets that do not exist. */
  readonly missing: readonly string[];
  /** What the policy of the namespace does not allow. */
  readonly notAllowed: readonly string[];
  /** Rules that hardly do what they should. */
  readonly warnings: readonly string[];
};

/** Checks what the rules of a route name. Only when something is missing are other objects looked at, for a hint. */
export const findingsOf = (
  route: RouteObject,
  objects: Caches,
  policy: PolicyObject | undefined,
): RouteFindings => {
  const found = findingsIn(route, namedBy(route, objects));
  const all = found.missing.length === 0 ? found : findingsIn(route, [route, ...neighbours(route, objects)]);
  const denied = policy === undefined ? [] : policyFindings(route, policy);
  return { ...all, notAllowed: denied.map(({ code, reason }) => `${code}: ${reason}`) };
};

const findingsIn = (route: RouteObject, objects: readonly Manifest[]): Omit<RouteFindings, 'notAllowed'> => {
  const about = referenceFindings(objects).filter(
    ({ kind, key, path }) => kind === 'AdapterRoute' && key === keyOf(route) && path[1] === 'rules',
  );
  return {
    missing: about.filter(isMissing).map(({ reason }) => reason),
    warnings: about.filter((finding) => !isMissing(finding)).map(({ reason }) => reason),
  };
};

/** spec.rules[i].targets[j] or .fallback[j]: one target; other findings are about a whole rule. */
const isMissing = ({ path }: ReferenceFinding): boolean => path.length === 5;

const namedBy = (route: RouteObject, objects: Caches): Manifest[] => {
  const targets = route.spec.rules.flatMap(({ targets: some = [], fallback }) => [...some, ...fallback]);
  const key = (name: string): ObjectKey => objectKey(route.metadata.namespace, name);
  const rollouts = new Map<ObjectKey, RolloutObject>();
  const adapters = new Map<ObjectKey, AdapterObject>();
  const addAdapter = (name: string): void => {
    const object = objects.adapters.get(key(name))?.object;
    if (object !== undefined) adapters.set(key(name), object);
  };
  for (const { rollout, adapter } of targets) {
    const object = rollout === undefined ? undefined : objects.rollouts.get(key(rollout))?.object;
    if (object !== undefined) {
      rollouts.set(keyOf(object), object);
      addAdapter(object.spec.adapter);
    }
    if (adapter !== undefined) addAdapter(adapter);
  }
  return [route, ...rollouts.values(), ...adapters.values()];
};

const neighbours = (route: RouteObject, objects: Caches): Manifest[] =>
  [...objects.rollouts.list(), ...objects.adapters.list()].flatMap(({ object }): Manifest[] =>
    object?.metadata.namespace === route.metadata.namespace ? [object] : [],
  );
