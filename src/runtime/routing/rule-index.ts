import type { Anchor, Matcher } from './match.ts';
import type { RequestContext } from './request.ts';

/** Of a list of rules, by their place in it, in order, those that may take a request. */
export type RuleIndex = (context: RequestContext) => Iterable<number>;

type Anchored = Pick<Anchor, 'by' | 'given'> & {
  readonly rules: Map<string, number[]>;
  /** Of the values. */
  readonly lengths: Set<number>;
};

/**
 * Finds rules by what they ask a request to have, so that a thousand rules for a department each cost one look-up. A prefix
 * costs one for each length that prefixes there have. A rule of which one match asks for nothing that can be looked up (a
 * pattern, a negation, a classifier alone) may take every request.
 */
export const indexRules = (matchers: readonly Matcher[]): RuleIndex => {
  const always: number[] = [];
  const byAnchor = new Map<string, Anchored>();
  for (const [rule, { alternatives }] of matchers.entries()) {
    const anchors = alternatives.map((conditions) => conditions.find(({ anchor }) => anchor)?.anchor);
    if (anchors.length === 0 || anchors.includes(undefined)) always.push(rule);
    else for (const anchor of anchors) if (anchor !== undefined) add(byAnchor, anchor, rule);
  }
  const indexes = [...byAnchor.values()];
  return (context) => {
    const found = new Set<number>();
    for (const anchored of indexes)
      for (const value of anchored.given(context))
        for (const key of keysOf(anchored, value))
          for (const rule of anchored.rules.get(key) ?? []) found.add(rule);
    return found.size === 0 ? always : merged(always, [...found].sort(byNumber));
  };
};

/** The values that take what a request has. */
function* keysOf({ by, lengths }: Anchored, given: string): Generator<string> {
  if (by === 'Value') yield given;
  else for (const length of lengths) if (length <= given.length) yield given.slice(0, length);
}

const add = (byAnchor: Map<string, Anchored>, { of, by, values, given }: Anchor, rule: number): void => {
  const key = `${by} ${of}`;
  const known = byAnchor.get(key) ?? { by, given, rules: new Map(), lengths: new Set() };
  byAnchor.set(key, known);
  for (const value of values) {
    known.lengths.add(value.length);
    const rules = known.rules.get(value);
    if (rules === undefined) known.rules.set(value, [rule]);
    else rules.push(rule);
  }
};

const byNumber = (a: number, b: number): number => a - b;

/** Two lists in order, as one: the first rules are all that most requests need. */
function* merged(left: readonly number[], right: readonly number[]): Generator<number> {
  let next = 0;
  for (const rule of left) {
    for (let other = right[next]; other !== undefined && other < rule; other = right[++next]) yield other;
    yield rule;
  }
  yield* right.slice(next);
}
