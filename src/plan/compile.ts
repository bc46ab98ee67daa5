import { namespaceOf, type ObjectKey } from '../api/names.ts';
import type { AdapterObject, Manifest, PolicyObject, RolloutObject, RouteObject } from '../api/objects.ts';
import { keyOf } from '../api/references.ts';
import { selects } from '../api/selector.ts';
import { byAge, nameConflicts } from './names.ts';
import { policyResource } from './planned-policy.ts';
import { plannedRules } from './planned-rules.ts';
import {
  defaultPolicyNamespace,
  isServedAt,
  type PolicyRefusal,
  policiesIn,
  refusedAdapters,
} from './policies.ts';
import { Remembered } from './remembered.ts';
import {
  type AdapterResource,
  type KeysResource,
  type Plan,
  type RouteResource,
  resourceKey,
  type Versioned,
  versioned,
} from './resources.ts';
import { sessionKeyOf } from './session-key.ts';
import { type RuntimeView, splitOf } from './split.ts';
import { loadedAt, tierOf, type Want, wantsOfRollouts } from './tiers.ts';

export type { RuntimeView } from './split.ts';

/** An object that the plan leaves out, or whose client name it cannot give. */
export type PlanProblem = {
  readonly kind: Manifest['kind'];
  readonly key: ObjectKey;
  /** For programs: the reason of a condition. */
  readonly code: 'NameConflict' | 'DuplicateObject' | PolicyRefusal['reason'];
  /** For people. */
  readonly reason: string;
};

export type CompiledPlan = { readonly plan: Plan; readonly problems: readonly PlanProblem[] };

/**
 * Compiles the objects of all namespaces to what one runtime must hold and how it must route. Pure; the order of the
 * manifests does not matter. An object must never be changed in place: what was compiled from it once is used again.
 *
 * - Adapters of another base model are not in the plan.
 * - A rollout whose runtimeSelector leaves this runtime out, or without a status, or whose adapters are for another
 *   base model, is a Split without arms whose message tells callers why: the name stays known.
 * - A route or a rollout that loses its client name to an older object is not accepted: it is not in the plan. An
 *   Adapter that does stays, for the rollouts and routes that use it, unless it has the name of the base model.
 *   After that, looking a name up as route, then rollout, then adapter, then base model finds its owner.
 * - An Adapter that the policy of its namespace keeps out is not in the plan; it keeps its name.
 * - Nothing of a namespace whose policy leaves out the runtime of this node is in the plan but the policy, which lets
 *   nobody in there.
 */
export const compilePlan = ({
  manifests,
  keys = [],
  runtime,
  policyNamespace = defaultPolicyNamespace,
  sessionSecret,
}: {
  readonly manifests: readonly Manifest[];
  /** Keys of callers out of Secrets. */
  readonly keys?: readonly Versioned<KeysResource>[] | undefined;
  readonly runtime: RuntimeView;
  /** Whose policy holds for namespaces without one. */
  readonly policyNamespace?: string | undefined;
  /** What keys for tokens of sessions are made of. Absent: there are no tokens. */
  readonly sessionSecret?: string | undefined;
}): CompiledPlan => {
  const { objects, problems: duplicates } = withoutDuplicates(manifests);
  const conflicts = nameConflicts(objects, runtime.baseModel);
  const refused = new Set(
    conflicts
      .filter(({ object, name }) => object.kind !== 'Adapter' || name === runtime.baseModel)
      .map((c) => c.object),
  );
  const policyOf = policiesIn(objects, policyNamespace);
  const byPolicy = refusedAdapters(objects.filter(isAdapter), policyOf);
  const isKeptOut = (object: Manifest): boolean => isAdapter(object) && byPolicy.has(keyOf(object));
  const isServed = (namespace: string): boolean => isServedAt(policyOf(namespace), runtime);
  const isHere = (object: Manifest): boolean => isPolicy(object) || isServed(object.metadata.namespace);
  const accepted = objects.filter((object) => !refused.has(object) && !isKeptOut(object) && isHere(object));

  const adapters = new Map(accepted.filter(isAdapter).map((adapter) => [keyOf(adapter), adapter]));
  const rollouts = accepted.filter(isRollout);
  const applying = rollouts.filter(({ spec }) => selects(spec.runtimeSelector, runtime.labels));
  const wants = wantsOfRollouts(applying, adapters, loadedAt(runtime));

  const resources: Versioned[] = [
    ...[...adapters.values()]
      .filter(({ spec }) => spec.baseModel === runtime.baseModel)
      .map((adapter) =>
        adapterResource(adapter, wants.get(keyOf(adapter)), runtime, policyOf(adapter.metadata.namespace)),
      ),
    ...rollouts.map((rollout) => splitOf(rollout, adapters, runtime, policyOf(rollout.metadata.namespace))),
    ...accepted.filter(isRoute).map((route) => routeResource(route, sessionSecret)),
    ...accepted
      .filter(isPolicy)
      .map((policy) => policyResource(policy, policyNamespace, isServed(policy.metadata.namespace))),
    ...keys.map((resource) => keysResource(resource, isServed(namespaceOf(resource.name)))),
  ];
  const entries = resources.map((resource) => [resourceKey(resource), resource] as const);
  return {
    plan: new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    problems: [
      ...duplicates,
      ...conflicts.map(({ object, reason }) => problemOf(object, 'NameConflict', reason)),
      ...objects.filter(isAdapter).flatMap((adapter) => {
        const refusal = byPolicy.get(keyOf(adapter));
        return refusal === undefined ? [] : [problemOf(adapter, refusal.reason, refusal.message)];
      }),
    ],
  };
};

const isAdapter = (object: Manifest): object is AdapterObject => object.kind === 'Adapter';
const isRollout = (object: Manifest): object is RolloutObject => object.kind === 'AdapterRollout';
const isRoute = (object: Manifest): object is RouteObject => object.kind === 'AdapterRoute';

const isPolicy = (object: Manifest): object is PolicyObject => object.kind === 'AdapterPolicy';

const problemOf = (object: Manifest, code: PlanProblem['code'], reason: string): PlanProblem => ({
  kind: object.kind,
  key: keyOf(object),
  code,
  reason,
});

/** An object that is there twice counts once, as its oldest. */
const withoutDuplicates = (manifests: readonly Manifest[]) => {
  const oldest = new Map<string, Manifest>();
  const others: Manifest[] = [];
  for (const object of manifests) {
    const identity = `${object.kind} ${keyOf(object)}`;
    const known = oldest.get(identity);
    const isOlder = known !== undefined && byAge(object, known) < 0;
    if (known === undefined || isOlder) oldest.set(identity, object);
    if (known !== undefined) others.push(isOlder ? known : object);
  }
  const reason = 'the object is there twice: the older one counts';
  return {
    objects: [...oldest.values()],
    problems: others.toSorted(byAge).map((object) => problemOf(object, 'DuplicateObject', reason)),
  };
};

const adapterResources = new Remembered<AdapterObject, Versioned<AdapterResource>>();

/**
 * An Adapter as a runtime has it. `want`: what the rollouts of the runtime ask of it. `policy`: the one that holds for its
 * namespace.
 */
export const adapterResource = (
  adapter: AdapterObject,
  want: Want | undefined,
  runtime: RuntimeView,
  policy: PolicyObject | undefined,
): Versioned<AdapterResource> => {
  const signed = policy?.spec.signatures?.required ?? false;
  const tier = tierOf(adapter, want, runtime.labels);
  const held = want?.held ?? false;
  return adapterResources.of(adapter, `${tier} ${held} ${signed}`, () => {
    const { baseModel, baseModelDigests, source, signatures, priority, pinned, validation } = adapter.spec;
    const digest = adapter.spec.digest ?? adapter.status?.digest;
    return versioned({
      type: 'AdapterSpec',
      name: keyOf(adapter),
      body: {
        uid: adapter.metadata.uid,
        baseModel,
        baseModelDigests: baseModelDigests ?? [],
        source,
        ...(digest === undefined ? {} : { digest }),
        ...(signatures === undefined ? {} : { signatures }),
        ...(signed ? { signed } : {}),
        priority,
        pinned,
        tier,
        held,
        validation,
      },
    });
  });
};

const routeResources = new Remembered<RouteObject, Versioned<RouteResource>>();

/** `sessionSecret`: what keys for tokens of sessions are made of; absent: there are no tokens. */
export const routeResource = (route: RouteObject, sessionSecret?: string): Versioned<RouteResource> =>
  routeResources.of(route, sessionSecret ?? '', () => {
    const rules = plannedRules(route.spec.rules);
    const hasTokens =
      sessionSecret !== undefined && rules.some(({ stickyDecision }) => stickyDecision !== undefined);
    return versioned({
      type: 'Route',
      name: keyOf(route),
      body: {
        uid: route.metadata.uid,
        createdAt: route.metadata.creationTimestamp,
        model: route.spec.model,
        rules,
        ...(route.spec.classifiers === undefined ? {} : { classifiers: route.spec.classifiers }),
        ...(hasTokens ? { sessionKey: sessionKeyOf(sessionSecret, route.metadata) } : {}),
      },
    });
  });

const emptied = new Remembered<Versioned<KeysResource>, Versioned<KeysResource>>();

/** Keys of a namespace as a runtime gets them. An empty resource is there sooner than one that is missing goes. */
export const keysResource = (
  resource: Versioned<KeysResource>,
  isServed: boolean,
): Versioned<KeysResource> =>
  isServed
    ? resource
    : emptied.of(resource, '', () => versioned({ type: 'Keys', name: resource.name, body: { keys: [] } }));
