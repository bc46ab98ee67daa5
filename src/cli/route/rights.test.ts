import { Command } from 'commander';
import { expect, it } from 'vitest';
import { contextOf } from './asked.ts';
import { askedOf, type RequestOptions, withRequest } from './flags.ts';

/** What routes see of a request that is described by flags. */
const seen = async (...flags: readonly string[]) => {
  const command = withRequest(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const headers = ['x-adaptlet-adapter-hint=law', 'X-Adaptlet-User=claimed', 'x-department=law'];
  command.parse(['-m', 'front', '--session', 's', ...headers.flatMap((one) => ['-H', one]), ...flags], {
    from: 'user',
  });
  const [asked] = await askedOf('hello', { ...command.opts<RequestOptions>(), namespace: '' });
  if (asked === undefined) throw new Error('there is one request');
  const { user, session, tenant, headers: left } = contextOf(asked, 'team-a');
  return {
    user,
    session,
    tenant,
    hint: left.get('x-adaptlet-adapter-hint'),
    department: left.get('x-department'),
  };
};

it('a request that is explained is one of a caller with all rights, unless they are named', async () => {
  const whole = { user: 'claimed', session: 's', tenant: undefined, hint: 'law', department: 'law' };
  expect(await seen()).toEqual(whole);
  expect(await seen('--rights', 'Hints, Users')).toEqual(whole);
});

it('without Hints it has no hint, and without Users nobody but who the flags name', async () => {
  const nobody = { user: undefined, session: undefined, tenant: undefined };
  expect(await seen('--rights', 'Users')).toMatchObject({ user: 'claimed', session: 's', hint: undefined });
  expect(await seen('--rights', 'Hints')).toMatchObject({ ...nobody, hint: 'law' });
  const own = ['-u', 'u1', '--tenant', 'acme'];
  const department = 'law';
  expect(await seen('--rights', 'none', ...own)).toEqual({
    ...nobody,
    user: 'u1',
    tenant: 'acme',
    hint: undefined,
    department,
  });
});

it('a right that there is not is refused with those that there are', async () => {
  await expect(seen('--rights', 'Hint')).rejects.toThrow(/there is no right "Hint": Users, .*Hints, or none/);
  await expect(seen('--rights', '')).rejects.toThrow(/there is no right ""/);
});
