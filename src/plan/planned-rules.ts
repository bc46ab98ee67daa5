import type { Leaf, Match } from '../api/match.ts';
import { type Rule, stickyDecisionSchema } from '../api/route.ts';

// Who did not ask for it is not bound to a decision that an earlier rule had no say in.
const byDefault = stickyDecisionSchema.parse({ onUncertain: 'Decide' });

/**
 * The rules of a route as runtimes get them: what a rule keeps of sessions without being asked to is written out, so that no runtime
 * has a default of its own. Without `stickyDecision` there, a rule keeps nothing.
 */
export const plannedRules = (rules: readonly Rule[]): Rule[] => {
  let isByPrompt = false;
  return rules.map(({ stickyDecision, ...rule }) => {
    const keepsNothing = stickyDecision?.keeps === 'Nothing';
    // Whether a later rule is come to is decided here as well.
    isByPrompt ||= !keepsNothing && rule.matches.some(looksAtPrompt);
    if (keepsNothing) return rule;
    const kept = stickyDecision ?? (isByPrompt || isByChance(rule) ? byDefault : undefined);
    return kept === undefined ? rule : { ...rule, stickyDecision: kept };
  });
};

const looksAtPrompt = ({ not = [], ...leaf }: Match): boolean => [leaf, ...not].some(isOfPrompt);

const isOfPrompt = ({ promptRegex, classifier }: Leaf): boolean =>
  promptRegex !== undefined || classifier !== undefined;

/** Whether two requests of one session may get different targets. */
const isByChance = ({ hashOn, targets = [] }: Pick<Rule, 'hashOn' | 'targets'>): boolean =>
  hashOn === 'Request' && targets.filter(({ weight }) => weight > 0).length > 1;
