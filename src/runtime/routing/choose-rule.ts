import type { Candidate, ServingFacts } from './decision.ts';
import { type Labelled, type LabelOf, labelledText, silent } from './labelled.ts';
import type { RequestContext } from './request.ts';
import type { CompiledRule, RouteEntry } from './table.ts';

/** The rule that takes a request, and what was found out on the way. */
export type Choice = {
  /** Absent: none does. */
  readonly rule?: CompiledRule;
  /** Classifiers that were asked, in the order in which rules needed them. */
  readonly labels: readonly Labelled[];
  /** The verdict of an earlier rule that keeps decisions was unknown. One that keeps nothing is asked again for the next request anyway. */
  readonly isUncertain?: boolean;
  /** An uncertain classifier refuses the request. */
  readonly refusal?: Candidate;
};

/** Asks each classifier of a route once for a request, when a rule needs it. */
export const askingOnce = (
  entry: RouteEntry,
  context: RequestContext,
  { classify }: Pick<ServingFacts, 'classify'>,
): { readonly labelOf: LabelOf; readonly asked: ReadonlyMap<string, Labelled> } => {
  const asked = new Map<string, Labelled>();
  const labelOf: LabelOf = (name) => {
    let labelled = asked.get(name);
    if (labelled === undefined) {
      labelled = classify?.(entry, name, context) ?? silent(name, 'this node runs no classifiers');
      asked.set(name, labelled);
    }
    return labelled;
  };
  return { labelOf, asked };
};

/** True for a classifier of the route whose uncertainty refuses a request. */
const refuses = ({ resource }: RouteEntry, { classifier, doubt }: Labelled): boolean =>
  doubt !== '' &&
  resource.body.classifiers?.find(({ name }) => name === classifier)?.onUncertain === 'Refuse';

/**
 * The first rule that takes the request. Where a rule can neither be taken nor passed by because a classifier that refuses is
 * uncertain, the request is refused there: no later rule gets it.
 *
 * @param kept the rule that the session of the request has: it takes what no rule before it does that keeps nothing; those that keep
 * decisions are not asked again. Absent: the session has none
 */
export const chooseRule = (
  entry: RouteEntry,
  context: RequestContext,
  facts: Pick<ServingFacts, 'classify'>,
  kept?: CompiledRule,
): Choice => {
  const { labelOf, asked } = askingOnce(entry, context, facts);
  let ofRule = new Set<Labelled>();
  const noted: LabelOf = (name) => {
    const labelled = labelOf(name);
    ofRule.add(labelled);
    return labelled;
  };
  let isUncertain = false;
  const end = kept === undefined ? entry.rules.length : entry.rules.indexOf(kept);
  for (const index of entry.candidates(context)) {
    if (index >= end) break;
    const rule = entry.rules[index];
    if (rule === undefined || (kept !== undefined && rule.sticky !== undefined)) continue;
    if (ofRule.size > 0) ofRule = new Set();
    const verdict = rule.matches.test(context, noted);
    if (verdict === true) return { rule, labels: [...asked.values()], isUncertain };
    if (verdict === false) continue;
    const doubtful = [...ofRule].filter((one) => refuses(entry, one));
    if (doubtful.length === 0) {
      isUncertain ||= rule.sticky !== undefined;
      continue;
    }
    const reason = `rule ${rule.name} of route ${entry.key}: ${doubtful.map(labelledText).join('; ')}`;
    return {
      labels: [...asked.values()],
      refusal: { kind: 'unavailable', reason, rule: rule.name, code: 'ROUTE_UNCERTAIN' },
    };
  }
  return { ...(kept === undefined ? {} : { rule: kept }), labels: [...asked.values()] };
};
