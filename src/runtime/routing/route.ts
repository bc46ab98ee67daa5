import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import type { Target } from '../../api/route.ts';
import { isPerUserId } from '../../api/source.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../plan/resources.ts';
import { bucketOf } from '../../rollout/judge/counts.ts';
import { armOf, keyOf } from '../../rollout/splitter.ts';
import { chooseRule } from './choose-rule.ts';
import type {
  Candidate,
  CountedAs,
  Decision,
  KeptChoice,
  KeptVersion,
  ServingFacts,
  SplitAtRequest,
} from './decision.ts';
import { type KeptArm, keptArm } from './kept-arm.ts';
import { classifiedText, labelledText } from './labelled.ts';
import { resolve } from './names.ts';
import { targetName } from './pick.ts';
import type { RequestContext } from './request.ts';
import { stableArm } from './stable-arm.ts';
import { userTarget } from './sticky.ts';
import {
  type CompiledRule,
  partsOf,
  type RouteEntry,
  type RoutingTable,
  refusalOfBase,
  sourceRefusalOf,
} from './table.ts';

/** A request on its way through the table. */
type Passage = {
  readonly table: RoutingTable;
  readonly context: RequestContext;
  readonly facts: ServingFacts;
  readonly requestId: string;
};

/**
 * Decides what may serve a request. Takes time in proportion to the rules of the one route that was asked for.
 *
 * Guarantees: never empty; only objects of the namespace that the name lies in; a canary is always followed by stable;
 * the base model only where the policy of the namespace lets it answer.
 * @throws MODEL_NOT_FOUND; REQUEST_INVALID where a rule needs a user id, has none and no fallback
 */
export const route = (
  table: RoutingTable,
  context: RequestContext,
  facts: ServingFacts,
  requestId: string,
): Decision => {
  const passage = { table, context, facts, requestId };
  const resolved = resolve(table, context.namespace, context.model);
  if (resolved.kind === 'base') return { candidates: [ofBase(table, context.namespace, '')] };
  if (resolved.kind === 'adapter') return { candidates: [byName(resolved.adapter.name, '')] };
  if (resolved.kind === 'rollout') return { candidates: ofRollout(resolved.split, '', passage) };
  return { candidates: ofRoute(resolved.route, passage) };
};

const ofBase = (table: RoutingTable, namespace: string, rule: string): Candidate => {
  const reason = refusalOfBase(table, namespace);
  return reason === undefined
    ? { kind: 'base', rule }
    : { kind: 'unavailable', reason, rule, code: 'BASE_NOT_ALLOWED' };
};

/**
 * Percent of requests that this runtime gives the canary now: what the plan allows, or 0 while the canary is not
 * Resident here or is held.
 */
export const effectiveWeight = ({ name, body }: SplitResource, facts: ServingFacts): number => {
  const { canary, stable, uid, weight } = body;
  if (canary === undefined || stable === undefined || weight <= 0) return 0;
  const [namespace] = partsOf(name);
  const key = objectKey(namespace, canary.adapter);
  return facts.serves(key, canary.digest) && !facts.isHeld(uid, canary.digest) ? weight : 0;
};

/** `kept`: the version that the session of the request has already. */
const ofRollout = (
  split: SplitResource,
  rule: string,
  { table, context, facts, requestId }: Passage,
  kept?: KeptVersion,
): Candidate[] => {
  const [namespace, rollout] = partsOf(split.name);
  const { canary, former, uid, hashOn } = split.body;
  const baseRefusal = refusalOfBase(table, namespace);
  const stable = stableArm(split, facts, baseRefusal);
  if (stable === undefined) {
    const why = split.body.message === '' ? 'it has no stable adapter yet' : split.body.message;
    return [{ kind: 'unavailable', reason: `rollout ${split.name} cannot serve: ${why}`, rule }];
  }
  const key = keyOf(hashOn, { ...context, requestId });
  const weight = effectiveWeight(split, facts);
  const hashed: KeptArm = canary !== undefined && weight > 0 ? armOf(canary.seed, key, weight) : 'stable';
  const side = kept === undefined ? hashed : keptArm(split, kept, { weight, facts, baseRefusal });
  const at: SplitAtRequest = {
    key: split.name,
    uid,
    canaryDigest: canary?.digest ?? '',
    weight: split.body.weight,
    // What answers in place of stable is nothing to compare the canary with. Who has a version already was not put there by
    // this weight: such sessions would be missing on one side.
    ...(stable.trouble === '' && kept === undefined ? countedAs(canary, weight, key) : {}),
  };
  const candidate = (
    arm: 'stable' | 'canary',
    { adapter, digest }: BoundAdapter,
  ): Extract<Candidate, { kind: 'adapter' }> => {
    return { kind: 'adapter', key: objectKey(namespace, adapter), digest, rollout, split: at, arm, rule };
  };
  const ofStable = (): Candidate => {
    if (stable.kind === 'base') return { kind: 'base', rule, rollout };
    const reason = `rollout ${split.name}: ${stable.trouble}`;
    if (stable.kind === 'none') return { kind: 'unavailable', reason, rule, code: 'NO_VERSION_SERVES' };
    return {
      ...candidate('stable', stable.bound),
      ...(stable.trouble === '' ? {} : { trouble: reason }),
      ...(stable.isReplaceable ? { isReplaceable: true } : {}),
    };
  };
  // Stable is second: the canary may leave the RAM between this decision and the moment it is acquired.
  if (side === 'canary' && canary !== undefined) return [candidate('canary', canary), ofStable()];
  if (side === 'former' && former !== undefined)
    return [{ ...candidate('stable', former), isReplaceable: true }, ofStable()];
  if (side === 'base') return [{ kind: 'base', rule, rollout }, ofStable()];
  return [ofStable()];
};

const countedAs = (
  canary: SplitResource['body']['canary'],
  weight: number,
  key: string,
): { readonly counted?: CountedAs } =>
  canary === undefined || weight === 0
    ? {}
    : { counted: { attempt: canary.attempt, weight, bucket: bucketOf(canary.seed, key) } };

const ofRoute = (entry: RouteEntry, passage: Passage): Candidate[] => {
  if (!entry.accepted) return [{ kind: 'unavailable', reason: entry.message, rule: '' }];
  const kept = passage.facts.kept?.(entry, passage.context);
  const again = kept && entry.rules.find((one) => has(one, kept));
  const { rule, labels, refusal, isUncertain } = chooseRule(entry, passage.context, passage.facts, again);
  const withLabels = (candidates: readonly Candidate[]): Candidate[] =>
    labels.length === 0
      ? [...candidates]
      : candidates.map((candidate) => ({ ...candidate, classified: classifiedText(labels) }));
  if (refusal !== undefined) return withLabels([refusal]);
  if (rule === undefined) {
    const why = labels.filter(({ doubt }) => doubt !== '').map(labelledText);
    const reason = [`no rule matches this request in route ${entry.key}`, ...why].join('; ');
    return withLabels([{ kind: 'unavailable', reason, rule: '' }]);
  }
  if (kept !== undefined && rule === again) return withLabels(ofKept(entry, kept, rule, passage));
  const { sticky, ...each } = rule;
  // What a classifier could not say it may say next time, or on another node: no session keeps what was decided without it.
  const isOpen =
    labels.some(({ isAbsent }) => isAbsent === true) ||
    (isUncertain === true && sticky?.onUncertain === 'Decide');
  return withLabels(ofRule(entry, isOpen ? each : rule, passage));
};

/** Whether a rule still has what a session keeps of it. */
const has = ({ name, sticky }: CompiledRule, { rule, target }: KeptChoice): boolean =>
  name === rule && sticky?.targets.has(target) === true;

/** What a session keeps, then what its rule has besides. */
const ofKept = (
  entry: RouteEntry,
  { target, version }: KeptChoice,
  rule: CompiledRule,
  passage: Passage,
): Candidate[] => {
  const [namespace] = partsOf(entry.key);
  const to = rule.sticky?.targets.get(target);
  const first =
    to === undefined
      ? ofUser(entry, rule, passage)
      : ofTarget(to, namespace, rule.name, passage, rule.sticky?.keeps === 'Version' ? version : undefined);
  const others = ofRule(entry, rule, passage).filter(({ keepable }) => keepable?.target !== target);
  return [...asKeepable(entry, rule, target, first), ...others];
};

/** What a rule has for a request, then its fallbacks. */
const ofRule = (entry: RouteEntry, rule: CompiledRule, passage: Passage): Candidate[] => {
  const [namespace] = partsOf(entry.key);
  const fallbacks = rule.fallback.flatMap((target) =>
    asKeepable(entry, rule, targetName(target), ofTarget(target, namespace, rule.name, passage)),
  );
  if (rule.perUser !== undefined)
    return [...asKeepable(entry, rule, userTarget, ofUser(entry, rule, passage)), ...fallbacks];
  const target = rule.pick?.(keyOf(rule.hashOn, { ...passage.context, requestId: passage.requestId }));
  if (target === undefined) {
    const reason = `rule ${rule.name} of route ${entry.key} has no target with a weight`;
    return [{ kind: 'unavailable', reason, rule: rule.name }, ...fallbacks];
  }
  const first = ofTarget(target, namespace, rule.name, passage);
  return [...asKeepable(entry, rule, targetName(target), first), ...fallbacks];
};

/** What a session would keep of them, where the rule keeps decisions. */
const asKeepable = (
  entry: RouteEntry,
  { name: rule, sticky }: CompiledRule,
  target: string,
  candidates: Candidate[],
): Candidate[] =>
  sticky === undefined
    ? candidates
    : candidates.map((one) => ({ ...one, keepable: { route: entry, sticky, rule, target } }));

const ofTarget = (
  target: Target,
  namespace: string,
  rule: string,
  passage: Passage,
  kept?: KeptVersion,
): Candidate[] => {
  const { splits, adapters } = passage.table;
  const absent = (what: string): Extract<Candidate, { kind: 'unavailable' }> => {
    return {
      kind: 'unavailable',
      reason: `${what}, which rule ${rule} asks for, is not on this runtime`,
      rule,
    };
  };
  if (target.base === true) return [ofBase(passage.table, namespace, rule)];
  if (target.rollout !== undefined) {
    const key = objectKey(namespace, target.rollout);
    const split = splits.get(key);
    return split === undefined ? [absent(`rollout ${key}`)] : ofRollout(split, rule, passage, kept);
  }
  const key = objectKey(namespace, target.adapter ?? '');
  if (!adapters.has(key)) return [{ ...absent(`adapter ${key}`), missing: key }];
  return [byName(key, rule)];
};

/** An Adapter that was asked for by its name: no rollout bound its digest. */
const byName = (key: ObjectKey, rule: string): Candidate => {
  return { kind: 'adapter', key, rollout: '', arm: '', rule };
};

const ofUser = (entry: RouteEntry, rule: CompiledRule, { table, context }: Passage): Candidate[] => {
  const { user } = context;
  const { perUser: template, name } = rule;
  const where = `rule ${name} of route ${entry.key}`;
  if (template !== undefined && template.baseModel !== table.base.name) {
    const reason = `${where} is for the base model ${template.baseModel}, this runtime has ${table.base.name}`;
    return [{ kind: 'unavailable', reason, rule: name }];
  }
  if (template !== undefined && user !== undefined && isPerUserId(user)) {
    const [namespace] = partsOf(entry.key);
    const refusal = sourceRefusalOf(table, namespace, template.source);
    if (refusal !== undefined) {
      return [
        { kind: 'unavailable', reason: `${where}: ${refusal}`, rule: name, code: 'SOURCE_NOT_ALLOWED' },
      ];
    }
    return [{ kind: 'perUser', namespace, route: entry.name, user, template, rule: name }];
  }
  const reason =
    user === undefined
      ? `${where} needs a user id (header x-adaptlet-user), the request has none`
      : `${where} needs a user id of at most 63 lower-case letters, digits, ".", "_", "-" that starts with a letter or digit`;
  if (rule.fallback.length === 0) throw new AdaptletError('REQUEST_INVALID', reason);
  return [{ kind: 'unavailable', reason, rule: name }];
};
