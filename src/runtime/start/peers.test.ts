import { expect, it } from 'vitest';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import { taggedIn } from './peers.ts';

it('knows what a tag is by the adapters of one namespace, from one repository', () => {
  const digest = `sha256:${'1'.repeat(64)}` as Digest;
  const all: readonly (readonly [ObjectKey, object])[] = [
    [objectKey('team-a', 'sql'), { oci: { image: 'r.test:5000/team/sql:v1' } }],
    [objectKey('team-b', 'sql'), { oci: { image: 'r.test:5000/team/sql:v2' } }],
    [objectKey('team-a', 'file'), { path: { path: 'v1' } }],
  ];
  const adapters = new Map(all.map(([key, source]) => [key, { body: { source } }]));
  const plan = { table: { adapters } } as unknown as Pick<PlanInForce, 'table'>;
  const tagged = taggedIn(plan, { resolved: (key) => (key.endsWith('/sql') ? digest : undefined) });
  const source = 'oci:r.test:5000/team/sql';
  expect(tagged('team-a', source, 'v1')).toBe(digest);
  expect(tagged('team-a', source, 'v2')).toBeUndefined();
  expect(tagged('team-b', source, 'v1')).toBeUndefined();
  expect(tagged('team-a', 'oci:r.test/team/sql', 'v1')).toBeUndefined();
});
