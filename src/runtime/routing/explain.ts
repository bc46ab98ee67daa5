import { shortDigest } from '../../api/names.ts';
import { askingOnce, chooseRule } from './choose-rule.ts';
import type { Candidate, ServingFacts } from './decision.ts';
import type { Labelled, LabelOf } from './labelled.ts';
import type { Condition } from './match.ts';
import { resolve } from './names.ts';
import type { RequestContext } from './request.ts';
import { route } from './route.ts';
import type { CompiledRule, RoutingTable } from './table.ts';
import { all, type Verdict } from './verdict.ts';

/** A verdict for people. */
export type Answer = 'yes' | 'no' | 'unknown';

export type ExplainedCondition = {
  readonly text: string;
  readonly verdict: Answer;
  readonly given: string;
};

export type ExplainedMatch = {
  readonly verdict: Answer;
  readonly conditions: readonly ExplainedCondition[];
};

export type ExplainedRule = {
  readonly name: string;
  readonly verdict: Answer;
  /** Empty: every request matches. */
  readonly matches: readonly ExplainedMatch[];
};

/** What would become of a request, and why. */
export type Explanation = {
  /** What the name of the model stands for. */
  readonly kind: 'route' | 'rollout' | 'adapter' | 'base';
  /** Key of the route; '' for other kinds. */
  readonly route: string;
  /** All of the route, in their order; also those after the one that takes the request. */
  readonly rules: readonly ExplainedRule[];
  /** Classifiers that were asked on the way to the rule. */
  readonly labels: readonly Labelled[];
  /** The rule that takes the request; '' where none does. */
  readonly rule: string;
  /** What may serve, in order of preference; those after the first are its fallbacks. */
  readonly candidates: readonly ExplainedCandidate[];
};

export type ExplainedCandidate = {
  readonly kind: Candidate['kind'];
  readonly text: string;
  /** Key of the Adapter; absent for other kinds. */
  readonly adapter?: string;
};

/** @param stateOf what a node has of an adapter, for people; '' for nothing */
export type ExplainFacts = ServingFacts & { readonly stateOf?: (key: string) => string };

/**
 * Explains a request by the same code that routes it.
 * @throws those of {@link route}
 */
export const explain = (
  table: RoutingTable,
  context: RequestContext,
  facts: ExplainFacts,
  requestId: string,
): Explanation => {
  const resolved = resolve(table, context.namespace, context.model);
  const { candidates } = route(table, context, facts, requestId);
  const shown = candidates.map((one) => ({
    kind: one.kind,
    text: candidateText(one, facts),
    ...(one.kind === 'adapter' ? { adapter: one.key } : {}),
  }));
  if (resolved.kind !== 'route')
    return { kind: resolved.kind, route: '', rules: [], labels: [], rule: '', candidates: shown };
  const entry = resolved.route;
  const { rule, labels } = chooseRule(entry, context, facts);
  const { labelOf } = askingOnce(entry, context, facts);
  return {
    kind: 'route',
    route: entry.key,
    rules: entry.rules.map((one) => explainRule(one, context, labelOf)),
    labels,
    rule: rule?.name ?? '',
    candidates: shown,
  };
};

const answerOf = (verdict: Verdict): Answer => {
  if (verdict === 'unknown') return verdict;
  return verdict ? 'yes' : 'no';
};

const explainRule = (
  { name, matches: { test, alternatives } }: CompiledRule,
  context: RequestContext,
  labelOf: LabelOf,
): ExplainedRule => ({
  name,
  verdict: answerOf(test(context, labelOf)),
  matches: alternatives.map((conditions) => explainMatch(conditions, context, labelOf)),
});

const explainMatch = (
  conditions: readonly Condition[],
  context: RequestContext,
  labelOf: LabelOf,
): ExplainedMatch => ({
  verdict: answerOf(all(conditions, ({ test }) => test(context, labelOf))),
  conditions: conditions.map(({ text, test, given }) => ({
    text,
    verdict: answerOf(test(context, labelOf)),
    given: given(context, labelOf),
  })),
});

const candidateText = (candidate: Candidate, { stateOf }: ExplainFacts): string => {
  switch (candidate.kind) {
    case 'base':
      return candidate.rollout === undefined
        ? 'the base model'
        : `the base model, in place of rollout ${candidate.rollout}`;
    case 'unavailable':
      return `${candidate.code ?? 'ADAPTER_NOT_AVAILABLE'}: ${candidate.reason}`;
    case 'perUser':
      return `the adapter of user ${candidate.user}`;
    case 'adapter': {
      const { key, digest, arm, rollout } = candidate;
      const version = digest === undefined ? key : `${key}@${shortDigest(digest)}`;
      const chosen = rollout === '' ? '' : `, ${arm} of rollout ${rollout}`;
      const state = stateOf?.(key) ?? '';
      return `adapter ${version}${chosen}${state === '' ? '' : `, ${state}`}`;
    }
  }
};
