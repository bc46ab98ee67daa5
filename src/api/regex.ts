import { RE2JS } from 're2js';
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
  const compiled = compile(pattern);
  let bounded: RE2JS | undefined;
  let followed: RE2JS | undefined;
  return {
    test: (value) => (bounded ??= withBound(compiled)).test(value),
    testBeginning: (value) => (followed ??= withBound(compileFollowed(pattern))).test(value),
    matches: (value) => (bounded ??= withBound(compiled)).testExact(value),
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
 * Bytes of the states that one pattern may keep, as the library counts them: 8 MiB by itself. Common patterns take less. One that takes more is
 * told by its instructions, 15 to 57 ns for each of them and character.
 */
const stateBytes = 64 * 1024;

/**
 * Whether a pattern matches is told by going from state to state, about 20 ns a character; where it matches would take ten times as long
 * (docs/adr/0084). Called when it is asked first, so that what it takes counts for who asks: 20 ms for hundreds of large classes of characters.
 */
const withBound = (compiled: RE2JS): RE2JS => {
  const { dfa } = compiled.re2();
  dfa.stateBudget = stateBytes;
  dfa.memBudget = stateBytes;
  return compiled;
};

/** The pattern and one character more, so that no `$` and no `\b` of it is where the text is cut. */
const compileFollowed = (pattern: string): RE2JS => {
  try {
    return RE2JS.compile(`(?:${pattern})(?s:.)`);
  } catch {
    // A quotation may be open at its end.
    return RE2JS.compile(`(?:${pattern}\\E)(?s:.)`);
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
