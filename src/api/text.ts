import { z } from 'zod';

/** A string of at most `max` characters; the checks after it do not run on a longer one. */
export const text = (max: number) => z.string().max(max, { abort: true });

/** A rule of Common Expression Language that the API server checks, and the message that the user gets. */
export type CelRule = {
  readonly rule: string;
  readonly message: string;
  /** CEL that makes the message, where it depends on the value. */
  readonly messageExpression?: string;
};

/** CEL rules as schema metadata; they reach the CRD as they are. */
export const cel = (...rules: readonly CelRule[]) => ({ 'x-kubernetes-validations': rules });

/** A text of CEL, or of JSON. */
const quoted = (value: string): string => JSON.stringify(value);

/** What a text must be, once for us and once in CEL, and what to write where it is not. */
export type Requirement = {
  readonly holds: (value: string) => boolean;
  readonly rule: string;
  readonly advice: string;
};

/** The pattern in CEL. JavaScript escapes every slash in the source of a regular expression; nobody else needs that. */
export const celMatches = ({ source }: RegExp): string =>
  `self.matches(${quoted(source.replaceAll('\\/', '/'))})`;

/** `pattern` has the syntax that JavaScript and RE2 share. */
export const matching = (pattern: RegExp, advice: string): Requirement => ({
  holds: (value) => pattern.test(value),
  rule: celMatches(pattern),
  advice,
});

export const notMatching = (pattern: RegExp, advice: string): Requirement => ({
  holds: (value) => !pattern.test(value),
  rule: `!${celMatches(pattern)}`,
  advice,
});

/** What to write instead, or undefined when the value meets all requirements. */
export const adviceOn = (value: string, requirements: readonly Requirement[]): string | undefined =>
  requirements.find(({ holds }) => !holds(value))?.advice;

/**
 * A text of at most `max` characters that meets all requirements; of those that it does not meet the first one gives
 * the advice. The API server checks the same: a `pattern` would only be quoted to the user.
 */
export const formed = (max: number, ...requirements: readonly Requirement[]) =>
  text(max)
    .superRefine((value, ctx) => {
      const message = adviceOn(value, requirements);
      if (message !== undefined) ctx.addIssue({ code: 'custom', message });
    })
    .meta(cel(ruleOf(requirements)));

const ruleOf = (requirements: readonly Requirement[]): CelRule => {
  const last = requirements.at(-1);
  if (last === undefined) throw new RangeError('a form has at least one requirement');
  const others = requirements.slice(0, -1);
  const rule = requirements.map((one) => one.rule).join(' && ');
  if (others.length === 0) return { rule, message: last.advice };
  const cases = others.map((one) => `!(${one.rule}) ? ${quoted(one.advice)} : `);
  return {
    rule,
    message: last.advice,
    messageExpression: `${cases.join('')}${quoted(last.advice)}`,
  };
};

/** Like {@link text}, on one line: no control characters. Names of users, tenants and header values are such. */
export const line = (max: number) =>
  text(max)
    .min(1)
    .regex(/^\P{Cc}*$/u, { error: 'must not have control characters or line breaks' });
