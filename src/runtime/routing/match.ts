import { hintHeader, type Leaf, type Match, maxPresetLength, type Preset, presets } from '../../api/match.ts';
import { compileRegex } from '../../api/regex.ts';
import { type Labelled, type LabelOf, labelledText } from './labelled.ts';
import { maxPatternText } from './prompt-text.ts';
import type { RequestContext } from './request.ts';
import { all, any, negated, type Verdict } from './verdict.ts';

type Test = (context: RequestContext, labelOf: LabelOf) => Verdict;
type HeaderMatch = NonNullable<Match['headers']>[number];

/** A condition holds exactly when a request has one of some values, or what begins with one. It may have several. */
export type Anchor = {
  /** What has the values. Anchors of one are given the same by a request. */
  readonly of: string;
  readonly by: 'Value' | 'Prefix';
  readonly values: readonly string[];
  readonly given: (context: RequestContext) => readonly string[];
};

/** One thing that a match asks. */
export type Condition = {
  /** As a manifest says it. */
  readonly text: string;
  readonly test: Test;
  /** What the request has there, for people; '' for nothing. Never the prompt. */
  readonly given: (context: RequestContext, labelOf: LabelOf) => string;
  /** Absent: a request has to be asked. */
  readonly anchor?: Anchor;
  /** Of a negation: it holds exactly when a request has none of the values. */
  readonly excludes?: Anchor;
};

/** The matches of a rule. */
export type Matcher = {
  readonly test: Test;
  /** Of each match its conditions, in the order in which they are looked at. Empty: every request matches. */
  readonly alternatives: readonly (readonly Condition[])[];
};

/**
 * Compiles the matches of a rule, once per plan. What binds first: `not`, then what is given in one match (all of it must
 * hold), then the matches (one must hold); no matches at all take every request. A header, user or tenant that is absent does
 * not match. What cannot be told, as of an uncertain classifier, is no match and no negation of one. Classifiers are asked
 * last, and only where the rest of their match holds.
 * @throws RangeError for a pattern that is not RE2
 */
export const compileMatches = (matches: readonly Match[]): Matcher => {
  const alternatives = matches.map(compileMatch);
  if (alternatives.length === 0) return { test: () => true, alternatives };
  const tests = alternatives.map(inOrder);
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return { test: only, alternatives };
  return { test: (context, labelOf) => any(tests, (test) => test(context, labelOf)), alternatives };
};

const together = (conditions: readonly Condition[]): Test => {
  const [only] = conditions;
  if (only !== undefined && conditions.length === 1) return only.test;
  return (context, labelOf) => all(conditions, ({ test }) => test(context, labelOf));
};

/** Of a match that does not hold whatever they say, classifiers are not asked: a doubt of theirs could have the request refused. */
const inOrder = (conditions: readonly Condition[]): Test => {
  const [first, last] = [conditions.filter(isCheap), conditions.filter((one) => !isCheap(one))];
  if (first.length === 0 || last.length === 0) return together(conditions);
  const [before, classifiers] = [together(first), together(last)];
  return (context, labelOf) => {
    const verdict = before(context, labelOf);
    return verdict === true ? classifiers(context, labelOf) : verdict;
  };
};

const compileMatch = ({ not = [], ...leaf }: Match): readonly Condition[] => {
  const conditions = compileLeaf(leaf);
  const negations = not.map(compileNegation);
  // A classifier costs most.
  return [...conditions.filter(isCheap), ...negations, ...conditions.filter((one) => !isCheap(one))];
};

const isCheap = ({ text }: Condition): boolean => !text.startsWith('classifier ');

const compileNegation = (leaf: Leaf): Condition => {
  const conditions = compileLeaf(leaf);
  const test = together(conditions);
  const [only] = conditions.length === 1 ? conditions : [];
  return {
    text: `not (${conditions.map((one) => one.text).join(' and ')})`,
    test: (context, labelOf) => negated(test(context, labelOf)),
    given: (context, labelOf) =>
      conditions
        .map((one) => one.given(context, labelOf))
        .filter((given) => given !== '')
        .join('; '),
    ...(only?.anchor === undefined ? {} : { excludes: only.anchor }),
  };
};

const compileLeaf = (leaf: Leaf): readonly Condition[] => {
  const { headers = [], user, tenant, promptRegex, adapterHint, classifier } = leaf;
  return [
    ...headers.map(compileHeader),
    ...(user?.in === undefined ? [] : [oneOf('user', user.in)]),
    ...(user?.prefix === undefined ? [] : [userPrefix(user.prefix)]),
    ...(tenant === undefined ? [] : [oneOf('tenant', tenant.in)]),
    ...presetNames.flatMap((name) => {
      const values = leaf[name]?.in;
      return values === undefined ? [] : [compilePreset(name, values)];
    }),
    ...(adapterHint === undefined ? [] : [compileHint(adapterHint.in)]),
    ...(promptRegex === undefined ? [] : [compilePrompt(promptRegex)]),
    ...(classifier === undefined ? [] : [compileClassifier(classifier)]),
  ];
};

const presetNames = Object.keys(presets) as Preset[];

const oneOf = (key: 'user' | 'tenant', values: readonly string[]): Condition => {
  const set = new Set(values);
  return {
    text: `${key} in ${listed(values)}`,
    test: (context) => {
      const value = context[key];
      return value !== undefined && set.has(value);
    },
    given: (context) => context[key] ?? '',
    anchor: { of: key, by: 'Value', values: [...set], given: (context) => listOf(context[key]) },
  };
};

const listOf = (value: string | undefined): readonly string[] => (value === undefined ? [] : [value]);

const userPrefix = (prefix: string): Condition => ({
  text: `user begins with ${prefix}`,
  test: ({ user }) => user?.startsWith(prefix) === true,
  given: ({ user }) => user ?? '',
  anchor: { of: 'user', by: 'Prefix', values: [prefix], given: ({ user }) => listOf(user) },
});

const compileHeader = ({ name, type, value }: HeaderMatch): Condition => {
  const accepts = compileValue(type, value);
  // Header names of a context are lower-case.
  const key = name.toLowerCase();
  return {
    text: `header ${key} ${type} ${value}`,
    test: ({ headers }) => {
      const given = headers.get(key);
      return given === undefined ? false : accepts(given);
    },
    given: ({ headers }) => headers.get(key) ?? '',
    ...(type === 'Regex' ? {} : { anchor: headerAnchor(key, type, value) }),
  };
};

const headerAnchor = (key: string, type: 'Exact' | 'Prefix', value: string): Anchor => ({
  of: `header ${key}`,
  by: type === 'Exact' ? 'Value' : 'Prefix',
  values: [value],
  given: ({ headers }) => listOf(headers.get(key)),
});

const compileValue = (type: HeaderMatch['type'], value: string): ((given: string) => Verdict) => {
  if (type === 'Exact') return (given) => given === value;
  if (type === 'Prefix') return (given) => given.startsWith(value);
  const regex = compileRegex(value);
  return (given) => (given.length > maxPatternText ? 'unknown' : regex.matches(given));
};

/** The first language of `accept-language`, whatever its weight. */
const firstLanguage = (header: string | undefined): string | undefined => header?.split(/[,;]/, 1)[0]?.trim();

/** A range takes itself and what goes on behind it with a hyphen: `de` takes `de-AT`. */
const compilePreset = (name: Preset, values: readonly string[]): Condition => {
  const ranges = values.map((value) => value.toLowerCase());
  const givenIn = ({ headers }: RequestContext): string | undefined =>
    headers.get(presets[name]) ??
    (name === 'locale' ? firstLanguage(headers.get('accept-language')) : undefined);
  const normalized = (context: RequestContext): string | undefined => givenIn(context)?.trim().toLowerCase();
  return {
    text: `${name} in ${listed(values)}`,
    test: (context) => {
      const given = normalized(context);
      if (given === undefined) return false;
      return ranges.some((range) => given === range || given.startsWith(`${range}-`));
    },
    given: (context) => givenIn(context) ?? '',
    anchor: { of: name, by: 'Value', values: ranges, given: (context) => rangesWith(normalized(context)) },
  };
};

/** The ranges that take a value, as long as one may be: in lower case a character may become two. */
const rangesWith = (given: string | undefined): readonly string[] => {
  if (given === undefined) return [];
  const hyphens = given.slice(0, 2 * maxPresetLength + 1).matchAll(/-/g);
  return [given, ...Array.from(hyphens, ({ index }) => given.slice(0, index))];
};

const compileHint = (names: readonly string[]): Condition => {
  const set = new Set(names);
  return {
    text: `adapterHint in ${listed(names)}`,
    test: ({ headers }) => set.has(headers.get(hintHeader) ?? ''),
    given: ({ headers }) => headers.get(hintHeader) ?? '',
    anchor: {
      of: 'hint',
      by: 'Value',
      values: [...set],
      given: ({ headers }) => [headers.get(hintHeader) ?? ''],
    },
  };
};

const compilePrompt = (pattern: string): Condition => {
  const regex = compileRegex(pattern);
  return {
    text: `promptRegex ${pattern}`,
    test: ({ prompt }) => {
      if (prompt === undefined) return 'unknown';
      if (!prompt.isCut) return regex.test(prompt.text);
      return regex.testBeginning(prompt.text) ? true : 'unknown';
    },
    given: ({ prompt }) => {
      if (prompt === undefined) return 'the prompt has no text';
      return `${prompt.text.length} characters${prompt.isCut ? ', and more that are not looked at' : ''}`;
    },
  };
};

const compileClassifier = ({ name, labels }: NonNullable<Leaf['classifier']>): Condition => {
  const set = new Set(labels);
  const verdictOf = ({ label, doubt }: Labelled): Verdict => (doubt === '' ? set.has(label) : 'unknown');
  return {
    text: `classifier ${name} in ${listed(labels)}`,
    test: (_, labelOf) => verdictOf(labelOf(name)),
    given: (_, labelOf) => labelledText(labelOf(name)),
  };
};

const listed = (values: readonly string[]): string => {
  const some = values.slice(0, 5).join(', ');
  return values.length > 5 ? `[${some} and ${values.length - 5} more]` : `[${some}]`;
};
