import { namespaceOf } from '../api/names.ts';
import type { Manifest, RolloutObject } from '../api/objects.ts';
import { clientNameOf, keyOf } from '../api/references.ts';
import { isSelective, type Selector, selects } from '../api/selector.ts';
import { adapterResource, keysResource, routeResource } from './compile.ts';
import { type ObjectIndex, objectKeyIn } from './object-index.ts';
import { policyResource } from './planned-policy.ts';
import { isServedAt } from './policies.ts';
import { type RuntimeView, splitOf } from './split.ts';
import { type Adapters, loadedAt, wantsOfRollouts } from './tiers.ts';
import type { Entry } from './view-plan.ts';

/**
 * One resource of the plan of a runtime, as `compilePlan` has it; undefined: it is not in the plan. An Adapter whose
 * digest nobody has resolved yet is left out, though it keeps its name: two nodes would else run different weights under
 * one tag.
 *
 * @param key of the resource
 * @param policyNamespace whose policy holds for namespaces without one
 */
export const entryOf = (
  index: ObjectIndex,
  key: string,
  runtime: RuntimeView,
  policyNamespace: string,
): Entry | undefined => {
  const policy = index.policyOf(namespaceOf(objectKeyIn(key)));
  const isServed = isServedAt(policy, runtime);
  const keys = index.keysOf(key);
  if (keys !== undefined) return { resource: keysResource(keys, isServed), isSent: true };
  const object = index.get(key);
  if (object === undefined || !isAccepted(index, object, runtime.baseModel)) return undefined;
  // Of a namespace whose policy leaves out this runtime there is the policy alone.
  if (!isServed && object.kind !== 'AdapterPolicy') return undefined;
  switch (object.kind) {
    case 'Adapter': {
      if (object.spec.baseModel !== runtime.baseModel) return undefined;
      const users = [...index.usersOf(keyOf(object))].filter((user) =>
        isAccepted(index, user, runtime.baseModel),
      );
      const rollouts = users.filter(isRollout);
      const applying = rollouts.filter(({ spec }) => selects(spec.runtimeSelector, runtime.labels));
      const want = wantsOfRollouts(applying, adaptersOf(index, runtime.baseModel), loadedAt(runtime)).get(
        keyOf(object),
      );
      const resource = adapterResource(object, want, runtime, policy);
      const { digest, tier, held } = resource.body;
      const isRouted = users.length > rollouts.length;
      // What a Split names is wanted: its rollout applies here.
      return digest === undefined ? undefined : { resource, isSent: tier !== 'None' || held || isRouted };
    }
    case 'AdapterRollout':
      return {
        resource: splitOf(object, adaptersOf(index, runtime.baseModel), runtime, policy),
        isSent: true,
      };
    case 'AdapterRoute':
      return { resource: routeResource(object, index.sessionSecret), isSent: true };
    case 'AdapterPolicy':
      return { resource: policyResource(object, policyNamespace, isServed), isSent: true };
  }
};

/** How the policy that holds for a namespace chooses among nodes; undefined: all of them serve it, or it is that of a pod. */
export const choiceOf = (
  index: ObjectIndex,
  namespace: string,
  scope: string | undefined,
): Selector | undefined => {
  const { nodes } = index.policyOf(namespace)?.spec.runtimes ?? {};
  return scope === undefined && isSelective(nodes) ? nodes : undefined;
};

/**
 * Whether runtimes of one base model that serve its namespace may have different entries there: by their labels, or by their
 * groups.
 */
export const isVaried = (index: ObjectIndex, key: string): boolean => {
  const object = index.get(key);
  if (object === undefined) return false;
  if (isRollout(object)) return variesBy(object);
  return (
    object.kind === 'Adapter' &&
    (isSelective(object.spec.preload.runtimeSelector) ||
      [...index.usersOf(objectKeyIn(key))].some((user) => isRollout(user) && variesBy(user)))
  );
};

/** Equal entries mean the same, whatever objects they were made of. */
export const isSameEntry = (a: Entry | undefined, b: Entry | undefined): boolean =>
  a === b || (a?.resource.version === b?.resource.version && a?.isSent === b?.isSent);

const isRollout = (object: Manifest): object is RolloutObject => object.kind === 'AdapterRollout';

const variesBy = ({ spec, status }: RolloutObject): boolean =>
  isSelective(spec.runtimeSelector) || status?.groups !== undefined;

/** Whether the object is in plans of that base model, as far as names and policies decide. */
const isAccepted = (index: ObjectIndex, object: Manifest, baseModel: string): boolean => {
  if (object.kind === 'AdapterPolicy') return true;
  if (clientNameOf(object) === baseModel) return false;
  return object.kind === 'Adapter' ? !index.isKeptOut(object) : index.hasItsName(object);
};

const adaptersOf = (index: ObjectIndex, baseModel: string): Adapters => ({
  get: (key) => {
    const adapter = index.adapter(key);
    return adapter !== undefined && isAccepted(index, adapter, baseModel) ? adapter : undefined;
  },
});
