import { hasEnd } from './analysis.ts';
import { analysisPlaces, analysisRefs, maxAnalysisRefs } from './analysis-places.ts';
import { exampleAdapterOf } from './classifier.ts';
import { type ObjectKey, objectKey } from './names.ts';
import { nearest } from './nearest.ts';
import type { ParsedManifest, UserObject } from './objects.ts';
import { type FieldProblem, pathText } from './problems.ts';
import type { Rule, Target } from './route.ts';

/** A finding about how objects of a set fit together. A `Warning` can come right by itself, a `Problem` cannot. */
export type ReferenceFinding = FieldProblem & {
  readonly kind: ParsedManifest['kind'];
  readonly key: ObjectKey;
  readonly severity: 'Warning' | 'Problem';
};

type Any = ParsedManifest | UserObject;
/** Objects that clients call by a name. */
type Called = Exclude<Any, { kind: 'AdapterAnalysis' }>;
type OfKind<K extends Any['kind']> = Extract<Any, { kind: K }>;

/**
 * Checks across a set of objects: names that nothing has, base models that do not fit together, weights that add up to
 * nothing, two objects that want the same client name. Pure. A dangling reference is legal (it means "not available
 * here"), so it is a warning.
 */
export const referenceFindings = (objects: readonly Any[]): ReferenceFinding[] => {
  const set = new ObjectSet(objects);
  return [
    ...objects.flatMap((object) => {
      if (object.kind === 'AdapterRollout')
        return [...rolloutFindings(object, set), ...analysisFindings(object, set)];
      return object.kind === 'AdapterRoute' ? routeFindings(object, set) : [];
    }),
    ...clientNameFindings(objects),
  ];
};

export const keyOf = (object: Pick<Any, 'metadata'>): ObjectKey =>
  objectKey(object.metadata.namespace, object.metadata.name);

class ObjectSet {
  readonly adapters = new Map<ObjectKey, OfKind<'Adapter'>>();
  readonly rollouts = new Map<ObjectKey, OfKind<'AdapterRollout'>>();
  readonly analyses = new Map<ObjectKey, OfKind<'AdapterAnalysis'>>();
  constructor(objects: readonly Any[]) {
    for (const object of objects) {
      if (object.kind === 'Adapter') this.adapters.set(keyOf(object), object);
      if (object.kind === 'AdapterRollout') this.rollouts.set(keyOf(object), object);
      if (object.kind === 'AdapterAnalysis') this.analyses.set(keyOf(object), object);
    }
  }
  names(kind: 'adapters' | 'rollouts' | 'analyses', namespace: string): string[] {
    return [...this[kind].values()]
      .filter((o) => o.metadata.namespace === namespace)
      .map((o) => o.metadata.name);
  }
  baseModelOf(namespace: string, target: Target): string | undefined {
    const adapter =
      target.adapter ??
      (target.rollout === undefined
        ? undefined
        : this.rollouts.get(objectKey(namespace, target.rollout))?.spec.adapter);
    return adapter === undefined
      ? undefined
      : this.adapters.get(objectKey(namespace, adapter))?.spec.baseModel;
  }
}

const missing = (what: string, name: string, namespace: string, known: readonly string[]): string => {
  const [hint] = nearest(name, known);
  return `there is no ${what} ${name} in namespace ${namespace}${hint === undefined ? '' : `, did you mean ${hint}`}`;
};

const rolloutFindings = (rollout: OfKind<'AdapterRollout'>, set: ObjectSet): ReferenceFinding[] => {
  const { namespace } = rollout.metadata;
  const about = { kind: rollout.kind, key: keyOf(rollout), path: ['spec', 'adapter'] };
  const next = set.adapters.get(objectKey(namespace, rollout.spec.adapter));
  if (next === undefined) {
    const reason = `spec.adapter: ${missing('Adapter', rollout.spec.adapter, namespace, set.names('adapters', namespace))}`;
    return [{ ...about, severity: 'Warning', reason }];
  }
  const status = 'status' in rollout ? rollout.status : undefined;
  return [status?.stable, status?.canary].flatMap((bound) => {
    const served = bound === undefined ? undefined : set.adapters.get(objectKey(namespace, bound.adapter));
    if (served === undefined || served.spec.baseModel === next.spec.baseModel) return [];
    const reason = `spec.adapter: ${rollout.spec.adapter} is for the base model ${next.spec.baseModel}, but the rollout serves ${served.metadata.name} for ${served.spec.baseModel}: use a rollout of its own`;
    return [{ ...about, severity: 'Problem' as const, reason }];
  });
};

/** What a rollout refers to and nobody has written yet, or what could never come to an end as a step. */
const analysisFindings = (
  { kind, metadata, spec }: OfKind<'AdapterRollout'>,
  set: ObjectSet,
): ReferenceFinding[] => {
  const refs = analysisRefs(spec.strategy).length;
  const tooMany: ReferenceFinding = {
    kind,
    key: keyOf({ metadata }),
    path: ['spec', 'strategy'],
    severity: 'Problem',
    reason: `spec.strategy: refers to ${refs} AdapterAnalyses, at most ${maxAnalysisRefs} are allowed`,
  };
  const found = analysisPlaces(spec.strategy).flatMap(({ path, isStep, analysis }): ReferenceFinding[] => {
    const { namespace } = metadata;
    if (analysis.ref === undefined) return [];
    const at = ['spec', 'strategy', ...path, 'ref'];
    const about = { kind, key: keyOf({ metadata }), path: at };
    const object = set.analyses.get(objectKey(namespace, analysis.ref));
    const where = pathText(at);
    if (object === undefined) {
      const known = set.names('analyses', namespace);
      const reason = `${where}: ${missing('AdapterAnalysis', analysis.ref, namespace, known)}`;
      return [{ ...about, severity: 'Warning', reason }];
    }
    const ends = (analysis.duration ?? object.spec.duration) !== undefined || hasEnd(object.spec);
    if (!isStep || ends) return [];
    const reason = `${where}: AdapterAnalysis ${analysis.ref} has no duration, and not every metric of it has a count: write a duration beside ref, it would never end`;
    return [{ ...about, severity: 'Problem', reason }];
  });
  return refs > maxAnalysisRefs ? [...found, tooMany] : found;
};

const routeFindings = (route: OfKind<'AdapterRoute'>, set: ObjectSet): ReferenceFinding[] => [
  ...ruleFindings(route, set),
  ...exampleFindings(route, set),
];

/** Labels whose examples are the smoke tests of an Adapter that is not there. */
const exampleFindings = (route: OfKind<'AdapterRoute'>, set: ObjectSet): ReferenceFinding[] =>
  (route.spec.classifiers ?? []).flatMap(({ examples }, index) =>
    (examples?.labels ?? []).flatMap((label, at): ReferenceFinding[] => {
      const { namespace } = route.metadata;
      const adapter = exampleAdapterOf(label);
      if (adapter === undefined || set.adapters.has(objectKey(namespace, adapter))) return [];
      const path = ['spec', 'classifiers', index, 'examples', 'labels', at];
      const why = missing('Adapter', adapter, namespace, set.names('adapters', namespace));
      const reason = `${pathText(path)}: ${why}, whose smoke tests would be the examples`;
      return [{ kind: route.kind, key: keyOf(route), path, severity: 'Warning', reason }];
    }),
  );

const ruleFindings = (route: OfKind<'AdapterRoute'>, set: ObjectSet): ReferenceFinding[] =>
  route.spec.rules.flatMap((rule, index) => {
    const at = ['spec', 'rules', index];
    const found = [
      ...danglingTargets(rule, route.metadata.namespace, set),
      ...mixedBaseModels(rule, route.metadata.namespace, set),
      ...zeroWeights(rule),
    ];
    return found.map(({ path, reason, severity }) => ({
      kind: route.kind,
      key: keyOf(route),
      path: [...at, ...path],
      severity,
      reason: `spec.rules[${index}]: ${reason}`,
    }));
  });

type RuleFinding = Pick<ReferenceFinding, 'path' | 'reason' | 'severity'>;

const danglingTargets = (rule: Rule, namespace: string, set: ObjectSet): RuleFinding[] =>
  (['targets', 'fallback'] as const).flatMap((list) =>
    (rule[list] ?? []).flatMap((target: Target, index): RuleFinding[] => {
      const path = [list, index];
      if (target.rollout !== undefined && !set.rollouts.has(objectKey(namespace, target.rollout))) {
        const reason = missing('AdapterRollout', target.rollout, namespace, set.names('rollouts', namespace));
        return [{ path, severity: 'Warning', reason }];
      }
      if (target.adapter !== undefined && !set.adapters.has(objectKey(namespace, target.adapter))) {
        const reason = missing('Adapter', target.adapter, namespace, set.names('adapters', namespace));
        return [{ path, severity: 'Warning', reason }];
      }
      return [];
    }),
  );

const mixedBaseModels = (rule: Rule, namespace: string, set: ObjectSet): RuleFinding[] => {
  const models = new Set((rule.targets ?? []).flatMap((target) => set.baseModelOf(namespace, target) ?? []));
  if (models.size < 2) return [];
  const reason = `the targets are for different base models (${[...models].sort().join(', ')}): a runtime has one, so a part of the requests finds nothing`;
  return [{ path: ['targets'], severity: 'Warning', reason }];
};

const zeroWeights = (rule: Rule): RuleFinding[] => {
  if (rule.targets === undefined || rule.targets.some((target) => target.weight > 0)) return [];
  const path = ['targets'];
  return rule.fallback.length > 0
    ? [{ path, severity: 'Warning', reason: 'all weights are 0: every request goes to the fallback' }]
    : [
        {
          path,
          severity: 'Problem',
          reason: 'all weights are 0 and there is no fallback: no request can be answered',
        },
      ];
};

/** Name that clients send for an object. */
export const clientNameOf = (object: Called): string =>
  object.kind === 'AdapterRoute' ? object.spec.model : object.metadata.name;

const clientNameFindings = (objects: readonly Any[]): ReferenceFinding[] => {
  const claims = new Map<string, Called[]>();
  for (const object of objects) {
    // Nobody calls an analysis or a policy.
    if (object.kind === 'AdapterAnalysis' || object.kind === 'AdapterPolicy') continue;
    const name = `${object.metadata.namespace}/${clientNameOf(object)}`;
    claims.set(name, [...(claims.get(name) ?? []), object]);
  }
  return [...claims.values()].flatMap((claimants) =>
    claimants.slice(1).map((object) => {
      const others = claimants.filter((o) => o !== object).map((o) => `${o.kind} ${keyOf(o)}`);
      const field = object.kind === 'AdapterRoute' ? ['spec', 'model'] : ['metadata', 'name'];
      const reason = `${field.join('.')}: clients call ${others.join(' and ')} ${clientNameOf(object)} as well; the oldest object has the name, the others are not accepted`;
      return { kind: object.kind, key: keyOf(object), path: field, severity: 'Problem' as const, reason };
    }),
  );
};
