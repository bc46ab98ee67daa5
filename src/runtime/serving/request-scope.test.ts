import { expect, it } from 'vitest';
import type { RequestContext } from '../routing/request.ts';
import { scopeOf } from './request-scope.ts';

const context = (who: Partial<RequestContext> = {}): RequestContext => ({
  namespace: 'team-a',
  model: 'sql',
  headers: new Map(),
  ...who,
});

it('places are shared out between namespaces, and between tenants within one', () => {
  expect(scopeOf(context())).toMatchObject({ namespace: 'team-a', tenant: '' });
  expect(scopeOf(context({ tenant: 'acme', priority: -5 }))).toMatchObject({
    namespace: 'team-a',
    tenant: 'acme',
    priority: -5,
  });
  expect(scopeOf(context({ speculate: false }))).toMatchObject({ speculate: false });
});

it('users of a tenant share a scope, of whatever session; without a tenant each has one', () => {
  const of = (who: Partial<RequestContext>): string => scopeOf(context(who)).scope;
  expect(of({ tenant: 'acme', user: 'anna', session: '1' })).toBe(of({ tenant: 'acme', user: 'bob' }));
  expect(of({ user: 'anna', session: '1' })).toBe(of({ user: 'anna', session: '2' }));
  expect(of({ user: 'anna' })).not.toBe(of({ user: 'bob' }));
  expect(of({ user: 'anna' })).not.toBe(of({}));
  expect(of({ tenant: 'acme' })).not.toBe(of({ tenant: 'acme', namespace: 'team-b' }));
});

it('an anonymous caller is never the tenant or the user of a credential', () => {
  const of = (who: Partial<RequestContext>): string => scopeOf(context(who)).scope;
  const [caller, other] = ['team-a/app', 'team-a/web'];
  expect(of({ tenant: 'acme' })).not.toBe(of({ tenant: 'acme', caller }));
  expect(of({ user: 'app' })).not.toBe(of({ user: 'app', caller }));
  expect(of({ user: 'anna', caller })).not.toBe(of({ user: 'anna', caller: other }));
  expect(of({ tenant: 'acme', caller })).toBe(of({ tenant: 'acme', caller: other }));
});

it('no choice of names makes the scope of one caller that of another', () => {
  // What would be taken for a separator, for the end of a name, or for a name that is absent.
  const names = ['', ',', '/', '"', '\\', '","', 'null', 'a', 'a,a'];
  const optional = [undefined, ...names];
  const scopes = names.flatMap((namespace) =>
    optional.flatMap((tenant) =>
      optional.map((user) =>
        scopeOf(
          context({
            namespace,
            ...(tenant === undefined ? {} : { tenant }),
            ...(user === undefined ? {} : { user }),
          }),
        ),
      ),
    ),
  );
  // Of each namespace: its tenants, and its users without one.
  expect(new Set(scopes.map(({ scope }) => scope)).size).toBe(9 * (9 + 10));
});
