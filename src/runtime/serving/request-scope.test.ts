import { expect, it } from 'vitest';
import type { RequestContext } from '../routing/request.ts';
import { scopeOf } from './request-scope.ts';

const context = (who: Partial<RequestContext> = {}): RequestContext => ({
  namespace: 'team-a',
  model: 'sql',
  headers: new Map(),
  ...who,
});

it('places are shared out between tenants, and between namespaces where no tenant is named', () => {
  expect(scopeOf(context())).toEqual({ tenant: 'team-a' });
  expect(scopeOf(context({ tenant: 'acme', priority: -5 }))).toEqual({ tenant: 'acme', priority: -5 });
});

it('a session of one caller is none of another who knows its name', () => {
  const callers = [
    {},
    { user: 'anna' },
    { user: 'bob' },
    { tenant: 'acme', user: 'anna' },
    { tenant: 'acme' },
  ];
  const scopes = [{ namespace: 'team-a' }, { namespace: 'team-b' }, { namespace: 'acme' }].flatMap((where) =>
    callers.map((caller) => scopeOf(context({ ...where, ...caller, session: 's1' })).session),
  );
  expect(new Set(scopes).size).toBe(scopes.length);
  expect(scopes).not.toContain(undefined);
});

it('no choice of names makes the session of one caller that of another', () => {
  // What would be taken for a separator, for the end of a name, or for a name that is absent.
  const names = ['', ',', '/', '"', '\\', '","', 'null', 'a', 'a,a'];
  const optional = [undefined, ...names];
  const scopes = names.flatMap((namespace) =>
    optional.flatMap((tenant) =>
      optional.flatMap((user) =>
        names.map((session) =>
          scopeOf(
            context({
              namespace,
              session,
              ...(tenant === undefined ? {} : { tenant }),
              ...(user === undefined ? {} : { user }),
            }),
          ),
        ),
      ),
    ),
  );
  expect(new Set(scopes.map(({ session }) => session)).size).toBe(9 * 10 * 10 * 9);
});
