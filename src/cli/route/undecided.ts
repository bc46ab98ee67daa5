import type { Explanation } from '../../runtime/routing/explain.ts';
import type { Labelled } from '../../runtime/routing/labelled.ts';
import type { RequestContext } from '../../runtime/routing/request.ts';

/**
 * The classifiers that did not run here and on which the rule depends: a node that runs them may take another one. Of an explanation
 * that no node made; empty: a node takes the same rule.
 */
export const undecidedBy = (
  { rules, rule, labels }: Explanation,
  { prompt }: RequestContext,
): readonly Labelled[] => {
  const taken = rules.findIndex(({ name }) => name === rule);
  const before = taken === -1 ? rules : rules.slice(0, taken);
  const isOpen = prompt !== undefined && before.some(({ verdict }) => verdict === 'unknown');
  return isOpen ? labels.filter(({ isAbsent }) => isAbsent === true) : [];
};

/** The explanation without the rule and the answer that are not known. */
export const withoutDecision = (explanation: Explanation): Explanation => ({
  ...explanation,
  rule: '',
  candidates: [],
});
