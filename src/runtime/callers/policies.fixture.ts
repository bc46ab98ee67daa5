import { createHash } from 'node:crypto';
import type { z } from 'zod';
import type { ObjectKey } from '../../api/names.ts';
import { type clientsSchema, policySpecSchema } from '../../api/policy.ts';
import { type Plan, type Resource, resourceKey, versioned } from '../../plan/resources.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { buildTable, type RoutingTable } from '../routing/table.ts';
import type { Caller, Presented } from './caller.ts';
import { Callers, type CallersParts } from './callers.ts';

export type ClientsInput = z.input<typeof clientsSchema>;

/** For tests: the policy of a namespace; that of adaptlet-system is the default one. */
export const policyResource = (namespace: string, clients: ClientsInput): Resource => ({
  type: 'Policy',
  name: `${namespace}/default` as ObjectKey,
  body: {
    uid: `uid-${namespace}`,
    isDefault: namespace === 'adaptlet-system',
    ...policySpecSchema.parse({ clients }),
  },
});

export const tableOf = (
  policies: Readonly<Record<string, ClientsInput>>,
  ...others: readonly Resource[]
): RoutingTable => {
  const resources = Object.entries(policies).map(([namespace, clients]) =>
    policyResource(namespace, clients),
  );
  const plan: Plan = new Map([...resources, ...others].map((r) => [resourceKey(r), versioned(r)]));
  return buildTable(plan, { name: 'tiny' });
};

export const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

/** Callers of one listener, with policies that a test can change. */
export const callersWith = (
  policies: Readonly<Record<string, ClientsInput>>,
  { isLoopback = false, ...parts }: Partial<CallersParts> & { readonly isLoopback?: boolean } = {},
) => {
  const clock = new FakeClock(Date.parse('2026-11-01T00:00:00Z'));
  const state = { table: tableOf(policies) };
  const callers = new Callers({
    table: () => state.table,
    clock,
    log: silentLog,
    anonymous: 'auto',
    defaultNamespace: 'default',
    ...parts,
  });
  const identify = callers.on({ isLoopback });
  const ask = (
    headers: Readonly<Record<string, string>> = {},
    connection: Omit<Presented, 'headers'> = {},
  ): Promise<Caller> => identify({ headers: new Map(Object.entries(headers)), ...connection });
  const withKey = (key: string, connection: Omit<Presented, 'headers'> = {}): Promise<Caller> =>
    ask({ authorization: `Bearer ${key}` }, connection);
  return { clock, state, callers, identify, ask, withKey };
};
