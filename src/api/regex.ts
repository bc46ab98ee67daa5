import { RE2JS, RE2Set } from 're2js';
import type { CelRule } from './text.ts';

/** Longest pattern that a manifest may hold, in characters. */
export const maxRegexLength = 512;

/** A compiled pattern. Matching takes time linear in the input, whatever the pattern. */
export type Regex = {
  /** True when the pattern occurs somewhere in the text. */
  test(value: string): boolean;
  /** True when the pattern occurs in the beginning of a text, however the text goes on: its end is not where the beginning is cut. */
  testBeginning(value: string): boolean;
  /** True when the pattern covers the whole text. */
  matches(value: string): boolean;
};

/**
 * The one place that compiles regular expressions of users. Syntax: RE2 (https://github.com/google/re2/wiki/Syntax),
 * so no look-around and no back-references.
 * @throws RangeError with the reason, for people
 */
export const compileRegex = (pattern: string): Regex => {
  if (pattern.length > maxRegexLength) {
    throw new RangeError(`must be a regular expression of at most ${maxRegexLength} characters`);
  }
  compile(pattern);
  return {
    test: makeTest(() => automaton(pattern)),
    testBeginning: makeTest(() => followed(pattern)),
    matches: makeTest(() => automaton(pattern, RE2Set.ANCHOR_BOTH)),
  };
};

/** Why a pattern is refused, or undefined when it compiles. */
export const regexProblem = (pattern: string): string | undefined => {
  try {
    compileRegex(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/** Instructions that a pattern compiles to; 0 when it does not compile. */
export const patternSize = (pattern: string): number => {
  try {
    return compile(pattern).programSize();
  } catch {
    // Why it does not compile is said of the field.
    return 0;
  }
};

const advice = 'must be a regular expression in RE2 syntax (no look-around, no back-references)';

/** The same in CEL: a pattern that does not compile is an error of the rule, which the API server tells with the message. */
export const compiles = (pattern: string): CelRule => ({
  rule: `"".matches(${pattern}) in [true, false]`,
  message: advice,
});

/**
 * Bytes of the states that one pattern may keep, as the library counts them. Common patterns take less. One that takes more is told by the states of
 * its instructions, which takes 15 to 57 ns for each of them and character.
 */
const automatonBytes = 64 * 1024;

/**
 * A set of one pattern: it says whether the pattern matches, and not where. So it goes from state to state by characters, about 20 ns each;
 * a search for the place takes ten times as long. And its states have a bound. (docs/adr/0084)
 */
const automaton = (pattern: string, anchor: number = RE2Set.UNANCHORED): RE2Set => {
  const set = new RE2Set(anchor, 0, automatonBytes);
  set.add(pattern);
  set.compile();
  return set;
};

/** `make` is called at the first use: most patterns are used in one way. */
const makeTest = (make: () => RE2Set): ((value: string) => boolean) => {
  let made: RE2Set | undefined;
  return (value) => (made ??= make()).match(value).length > 0;
};

/** The pattern and one character more, so that no `$` and no `\b` of it is where the text is cut. */
const followed = (pattern: string): RE2Set => {
  try {
    return automaton(`(?:${pattern})(?s:.)`);
  } catch {
    // A quotation may be open at its end.
    return automaton(`(?:${pattern}\\E)(?s:.)`);
  }
};

const compile = (pattern: string): RE2JS => {
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    const reason =
      cause instanceof Error ? cause.message.replace(/^error parsing regexp: /, '') : String(cause);
    throw new RangeError(`${advice}: ${reason.slice(0, 120)}`, {
      cause,
    });
  }
};
