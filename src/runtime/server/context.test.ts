import { expect, it } from 'vitest';
import { headerLimits, readHeaders, requestContext } from './context.ts';

const context = (
  headers: Record<string, string>,
  asked: Partial<Parameters<typeof requestContext>[1]> = {},
) => requestContext(readHeaders(Object.entries(headers)), { model: 'sql', ...asked }, 'default');

it('a request without identity has none, in the default namespace', () => {
  expect(context({})).toEqual({ namespace: 'default', model: 'sql', headers: new Map() });
});

it('the header of a proxy wins over what the client writes into the body', () => {
  const { user, session, namespace } = context(
    { 'X-Adaptlet-User': 'anna', 'x-adaptlet-namespace': 'team-a' },
    { user: 'eve', session: 's1', namespace: 'team-b' },
  );
  expect({ user, session, namespace }).toEqual({ user: 'anna', session: 's1', namespace: 'team-a' });
});

it('all headers are there for routes, by lower-case name, repeated ones joined', () => {
  const headers = readHeaders([
    ['X-Department', 'medical'],
    ['x-tag', 'a'],
    ['X-TAG', 'b'],
  ]);
  expect([...headers]).toEqual([
    ['x-department', 'medical'],
    ['x-tag', 'a, b'],
  ]);
});

it('headers over a limit are refused, not cut short', () => {
  const long = 'x'.repeat(headerLimits.value + 1);
  expect(() => readHeaders([['x-a', long]])).toThrow(/header x-a is longer/);
  const many = Array.from({ length: headerLimits.count + 1 }, (_, i) => [`x-${i}`, ''] as const);
  expect(() => readHeaders(many)).toThrow(/more than 128 headers/);
  const wide = Array.from({ length: 10 }, (_, i) => [`x-${i}`, 'x'.repeat(8000)] as const);
  expect(() => readHeaders(wide)).toThrow(/together/);
});

it.each([
  ['a user that is too long', { user: 'x'.repeat(257) }, /the user .* has 257 characters/],
  ['a user with control characters', { user: 'a\nb' }, /unprintable/],
  ['a user with half a character', { user: '\ud800' }, /unprintable/],
  ['a model with control characters', { model: 'a\u0000' }, /model has unprintable/],
  ['a namespace that is too long', { namespace: 'x'.repeat(513) }, /namespace is longer/],
  ['an empty model', { model: '' }, /model is empty/],
])('%s is refused', (_, asked, message) => {
  expect(() => context({}, asked)).toThrow(message);
});
