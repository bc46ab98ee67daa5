import { expect, it } from 'vitest';
import type { Right } from '../../api/policy.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Caller } from '../callers/caller.ts';
import { askedNamespace, headerLimits, readHeaders, requestContext } from './context.ts';

/** Of the namespace team-a. */
const callerWith = (...rights: readonly Right[]): Caller => ({
  home: 'team-a',
  grantIn: (namespace) =>
    namespace === 'team-a' || rights.includes('Namespaces')
      ? { caller: 'team-a/app', user: 'app', tenant: 'acme', rights: new Set(rights) }
      : undefined,
  refusalIn: (namespace) => new AdaptletError('FORBIDDEN', `not for ${namespace}`),
});

const anonymous: Caller = {
  home: 'default',
  grantIn: () => ({ caller: '', rights: new Set(['Users', 'Priority', 'Namespaces']) }),
  refusalIn: () => new AdaptletError('UNAUTHENTICATED', 'no credential'),
};

const context = (
  headers: Record<string, string>,
  asked: Partial<Parameters<typeof requestContext>[1]> = {},
  caller = anonymous,
) => requestContext(readHeaders(Object.entries(headers)), { model: 'sql', ...asked }, caller);

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
    ['cookie', 'c=1'],
    ['cookie', 'd=2'],
  ]);
  expect([...headers]).toEqual([
    ['x-department', 'medical'],
    ['x-tag', 'a, b'],
    ['cookie', 'c=1; d=2'],
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

it('who has a credential is its user and tenant, whatever headers and body say', () => {
  const headers = {
    'x-adaptlet-user': 'eve',
    'x-adaptlet-session': 's1',
    'x-adaptlet-tenant': 'other',
    'x-department': 'medical',
    authorization: 'Bearer adk_x',
    'x-api-key': 'adk_x',
  };
  const asked = { user: 'eve', session: 's2' };
  expect(context(headers, asked, callerWith())).toEqual({
    namespace: 'team-a',
    model: 'sql',
    caller: 'team-a/app',
    user: 'app',
    tenant: 'acme',
    // Routes match by headers: none says who asks, and none has the credential.
    headers: new Map([['x-department', 'medical']]),
  });
});

it('a gateway says for whom it asks, with its own tenant where it names none', () => {
  const gateway = callerWith('Users');
  expect(context({ 'x-adaptlet-user': 'anna' }, {}, gateway)).toMatchObject({ user: 'anna', tenant: 'acme' });
  expect(context({ 'x-adaptlet-tenant': 'corp' }, { user: 'bob' }, gateway)).toMatchObject({
    user: 'bob',
    tenant: 'corp',
  });
  expect(context({}, {}, gateway)).not.toHaveProperty('user');
});

it.each([
  ['a header', { 'x-adaptlet-namespace': 'team-b' }, {}],
  ['the body', {}, { namespace: 'team-b' }],
  ['the model', {}, { model: 'team-b/sql' }],
  ['the model with its kind', {}, { model: 'adapter:team-b/sql' }],
  ['the model, and a header of its own', { 'x-adaptlet-namespace': 'team-a' }, { model: 'team-b/sql' }],
])('another namespace, by %s, needs the right Namespaces', (_, headers, asked) => {
  expect(() => context(headers, asked, callerWith())).toThrow(/not for team-b/);
  expect(context(headers, asked, callerWith('Namespaces')).namespace).toBe('team-b');
});

it('a listing of another namespace needs the right Namespaces as well', () => {
  const headers = readHeaders([['x-adaptlet-namespace', 'team-b']]);
  expect(() => askedNamespace(headers, callerWith())).toThrow(/not for team-b/);
  expect(() => askedNamespace(new Map(), callerWith(), 'team-b')).toThrow(/not for team-b/);
  expect(askedNamespace(headers, callerWith('Namespaces'))).toBe('team-b');
  expect(askedNamespace(new Map(), callerWith())).toBe('team-a');
});

it('a priority above 0 needs the right Priority; one below does not', () => {
  const urgent = { 'x-adaptlet-priority': '1' };
  expect(() => context(urgent, {}, callerWith())).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
  expect(context(urgent, {}, callerWith('Priority')).priority).toBe(1);
  expect(context({ 'x-adaptlet-priority': '-5' }, {}, callerWith()).priority).toBe(-5);
});

it('a caller proposes an adapter where its credential has the right Hints; otherwise nobody sees that it did', () => {
  const hint = { 'x-adaptlet-adapter-hint': 'medical-v2', 'x-department': 'medical' };
  expect(context(hint, {}, callerWith()).headers).toEqual(new Map([['x-department', 'medical']]));
  expect(context(hint, {}, callerWith('Hints')).headers.get('x-adaptlet-adapter-hint')).toBe('medical-v2');
});

it('what a gateway says of a request holds where the request came through it, with the rights of its credential', () => {
  const headers = {
    'x-llm-d-inference-fairness-id': 'acme',
    'x-llm-d-inference-objective': 'interactive',
    'x-session-id': 's1',
  };
  const gateway = { objectives: new Map([['interactive', 7]]) };
  expect(context(headers, {}, { ...anonymous, gateway })).toMatchObject({
    tenant: 'acme',
    priority: 7,
    session: 's1',
  });
  const untrusted = context(headers);
  expect([untrusted.tenant, untrusted.priority, untrusted.session]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  const other = { ...headers, 'x-llm-d-inference-fairness-id': 'other' };
  expect(() => context(other, {}, { ...callerWith(), gateway })).toThrow(/right Priority/);
  const own = context({ ...other, 'x-llm-d-inference-objective': 'none' }, {}, { ...callerWith(), gateway });
  expect([own.tenant, own.session]).toEqual(['acme', undefined]);
});
