import type { Anchor, Condition, Matcher } from './match.ts';
import type { RequestContext } from './request.ts';

/** Of a list of rules, by their place in it, in order, those that may take a request. */
export type RuleIndex = (context: RequestContext) => Iterable<number>;

/** Rules by their place, a bit each, 32 of them a word. */
type Rules = Uint32Array;

/** What becomes of the rules of a value that a request has. */
type Effect = 'may take' | 'take not';

type Anchored = Pick<Anchor, 'by' | 'given'> & {
  readonly effect: Effect;
  readonly rules: Map<string, Rules>;
  /** Of the values. */
  readonly lengths: Set<number>;
};

/**
 * Finds rules by what they ask a request to have, or not to have, so that a thousand rules for a department each cost one
 * look-up. A prefix costs one for each length that prefixes there have. A rule of which one match asks for nothing that can be
 * looked up (a pattern, a classifier alone) may take every request.
 */
export const indexRules = (matchers: readonly Matcher[]): RuleIndex => {
  const words = Math.ceil(matchers.length / 32);
  const always = new Uint32Array(words);
  const byAnchor = new Map<string, Anchored>();
  const add = (effect: Effect, { of, by, values, given }: Anchor, rule: number): void => {
    const key = `${effect} ${by} ${of}`;
    const known = byAnchor.get(key) ?? { effect, by, given, rules: new Map(), lengths: new Set() };
    byAnchor.set(key, known);
    for (const value of values) {
      known.lengths.add(value.length);
      const rules = known.rules.get(value) ?? new Uint32Array(words);
      known.rules.set(value, rules);
      addTo(rules, rule);
    }
  };
  for (const [rule, { alternatives }] of matchers.entries()) {
    const anchors = alternatives.map(anchorOf);
    if (anchors.length > 0 && !anchors.includes(undefined)) {
      for (const anchor of anchors) if (anchor !== undefined) add('may take', anchor, rule);
      continue;
    }
    addTo(always, rule);
    const [only, ...others] = alternatives;
    // What stands first is looked at before any classifier is asked.
    const excluded = others.length === 0 ? only?.[0]?.excludes : undefined;
    if (excluded !== undefined) add('take not', excluded, rule);
  }
  const indexes = [...byAnchor.values()];
  return (context) => {
    const found = always.slice();
    for (const anchored of indexes)
      for (const value of anchored.given(context))
        for (const key of keysOf(anchored, value)) change(found, anchored.effect, anchored.rules.get(key));
    return placesIn(found);
  };
};

/** Values tell more rules apart than prefixes do. */
const anchorOf = (conditions: readonly Condition[]): Anchor | undefined => {
  const anchors = conditions.flatMap(({ anchor }) => anchor ?? []);
  return anchors.find(({ by }) => by === 'Value') ?? anchors[0];
};

/** The values that take what a request has. */
function* keysOf({ by, lengths }: Anchored, given: string): Generator<string> {
  if (by === 'Value') yield given;
  else for (const length of lengths) if (length <= given.length) yield given.slice(0, length);
}

const addTo = (rules: Rules, rule: number): void => {
  rules[rule >> 5] = (rules[rule >> 5] ?? 0) | (1 << (rule & 31));
};

const change = (found: Rules, effect: Effect, rules: Rules | undefined): void => {
  if (rules === undefined) return;
  for (let word = 0; word < found.length; word += 1) {
    const [before, bits] = [found[word] ?? 0, rules[word] ?? 0];
    found[word] = effect === 'may take' ? before | bits : before & ~bits;
  }
};

function* placesIn(rules: Rules): Generator<number> {
  for (const [word, bits] of rules.entries())
    for (let left = bits; left !== 0; left &= left - 1) yield 32 * word + 31 - Math.clz32(left & -left);
}
