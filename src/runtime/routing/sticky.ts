import { parseDuration } from '../../api/duration.ts';
import type { Rule, StickyDecision, Target } from '../../api/route.ts';
import { targetName } from './pick.ts';

/** How a rule keeps decisions. */
export type Sticky = {
  /** Milliseconds without a request after which a session is decided anew. */
  readonly idleMs: number;
  readonly keeps: Exclude<StickyDecision['keeps'], 'Nothing'>;
  /** What becomes of a decision where the verdict of an earlier rule that keeps something was unknown. */
  readonly onUncertain: StickyDecision['onUncertain'];
  /** What a session may keep, by name; undefined for the adapter of the user. */
  readonly targets: ReadonlyMap<string, Target | undefined>;
};

/** Name of the target of a rule with `perUser`. No other has it. */
export const userTarget = 'user';

/**
 * How a rule keeps decisions; undefined: it does not. A target that has no weight any more is none that a session may keep,
 * unless the rule falls back to it.
 */
export const compileSticky = ({
  stickyDecision,
  targets = [],
  perUser,
  fallback,
}: Pick<Rule, 'stickyDecision' | 'targets' | 'perUser' | 'fallback'>): Sticky | undefined => {
  if (stickyDecision === undefined || stickyDecision.keeps === 'Nothing') return undefined;
  const { idleTimeout, keeps, onUncertain } = stickyDecision;
  const all: readonly Target[] = [...targets.filter(({ weight }) => weight > 0), ...fallback];
  const keepable = new Map<string, Target | undefined>(all.map((target) => [targetName(target), target]));
  if (perUser !== undefined) keepable.set(userTarget, undefined);
  return { idleMs: parseDuration(idleTimeout), keeps, onUncertain, targets: keepable };
};

/** Whether a route keeps decisions. */
export const keepsDecisions = ({
  rules,
}: {
  readonly rules: readonly { readonly sticky?: Sticky }[];
}): boolean => rules.some(({ sticky }) => sticky !== undefined);
