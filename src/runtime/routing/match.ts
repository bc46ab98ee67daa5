import { compileRegex } from '../../api/regex.ts';
import type { Match } from '../../api/route.ts';
import type { RequestContext } from './request.ts';

type Test = (context: RequestContext) => boolean;
type HeaderMatch = NonNullable<Match['headers']>[number];

/**
 * Compiles the matches of a rule, once per plan: what is given in one match must hold altogether, the matches are
 * alternatives, and no matches at all take every request. A header, user or tenant that is absent does not match.
 * @throws RangeError for a pattern that is not RE2
 */
export const compileMatches = (matches: readonly Match[]): Test => {
  const alternatives = matches.map(compileMatch);
  if (alternatives.length === 0) return () => true;
  return (context) => alternatives.some((accepts) => accepts(context));
};

const compileMatch = ({ headers = [], user, tenant }: Match): Test => {
  const tests = headers.map(compileHeader);
  if (user?.in !== undefined) tests.push(oneOf('user', user.in));
  if (user?.prefix !== undefined) {
    const { prefix } = user;
    tests.push((context) => context.user?.startsWith(prefix) === true);
  }
  if (tenant !== undefined) tests.push(oneOf('tenant', tenant.in));
  return (context) => tests.every((test) => test(context));
};

const oneOf = (key: 'user' | 'tenant', values: readonly string[]): Test => {
  const set = new Set(values);
  return (context) => {
    const value = context[key];
    return value !== undefined && set.has(value);
  };
};

const compileHeader = ({ name, type, value }: HeaderMatch): Test => {
  const accepts = compileValue(type, value);
  // Header names of a context are lower-case.
  const key = name.toLowerCase();
  return ({ headers }) => {
    const given = headers.get(key);
    return given !== undefined && accepts(given);
  };
};

const compileValue = (type: HeaderMatch['type'], value: string): ((given: string) => boolean) => {
  if (type === 'Exact') return (given) => given === value;
  if (type === 'Prefix') return (given) => given.startsWith(value);
  const regex = compileRegex(value);
  return (given) => regex.matches(given);
};
