import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { objectKey } from '../api/names.ts';
import type { Manifest } from '../api/objects.ts';
import { type policySpecSchema } from '../api/policy.ts';
import { resourceFromParts } from '../control/wire.ts';
import { compilePlan } from './compile.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from './manifests.fixture.ts';
import { type KeysResource, type Versioned, versioned } from './resources.ts';

type Spec = z.input<typeof policySpecSchema>;
const nodes = { matchLabels: { pool: 'edge' } };
const ofTeam = (namespace: string): Manifest[] => [
  anAdapter({ name: 'sql', namespace }),
  aRollout({ name: 'chat', namespace }, { adapter: 'sql' }, aStatus({ stable: bound('sql') })),
  aRoute({ name: 'front', namespace }),
];
const keys: Versioned<KeysResource> = versioned({
  type: 'Keys',
  name: objectKey('team-a', 'secrets'),
  body: { keys: [{ name: 'secret:app', sha256: '0'.repeat(64), user: 'app', rights: [] }] },
});
const compile = (policies: readonly Manifest[], labels: Record<string, string> = {}, scope?: string) =>
  compilePlan({
    manifests: [...policies, ...ofTeam('team-a'), ...ofTeam('team-b')],
    keys: [keys],
    runtime: { baseModel: 'tiny', labels, scope },
    policyNamespace: 'ops',
  }).plan;
const namesOf = (...given: Parameters<typeof compile>) =>
  [...compile(...given).keys()].filter((key) => /^(AdapterSpec|Split|Route) /.test(key));
const all = (namespace: string) => [
  `AdapterSpec ${namespace}/sql`,
  `Route ${namespace}/front`,
  `Split ${namespace}/chat`,
];
const both = [...all('team-a'), ...all('team-b')].sort();
const sha = { name: 'k', sha256: 'f'.repeat(64) };
const limited: Spec = { runtimes: { nodes }, clients: { anonymous: 'Allow', apiKeys: [sha] } };

describe('runtimes.nodes of a policy', () => {
  it('leaves everything of the namespace out of plans of other nodes', () => {
    const policies = [aPolicy('team-a', limited)];
    expect(namesOf(policies, { pool: 'edge' })).toEqual(both);
    expect(namesOf(policies, { pool: 'core' })).toEqual(all('team-b'));
    expect(namesOf(policies)).toEqual(all('team-b'));
  });

  it('of the default policy holds for namespaces without one', () => {
    expect(namesOf([aPolicy('ops', limited), aPolicy('team-a')])).toEqual(all('team-a'));
  });

  it('is no matter of a pod, which serves its own namespace', () => {
    const own = compilePlan({
      manifests: [aPolicy('team-a', limited), ...ofTeam('team-a')],
      runtime: { baseModel: 'tiny', labels: {}, scope: 'team-a' },
    }).plan;
    expect([...own.keys()]).toEqual([...all('team-a'), 'Policy team-a/default'].sort());
  });

  it('lets nobody in where it leaves the node out, with keys out of Secrets neither', () => {
    const elsewhere = compile([aPolicy('team-a', limited)]);
    expect(elsewhere.get('Policy team-a/default')?.body).toMatchObject({
      base: 'Deny',
      clients: { anonymous: 'Deny', apiKeys: [], issuers: [], certificates: [] },
    });
    expect(elsewhere.get('Keys team-a/secrets')?.body).toEqual({ keys: [] });
    const here = compile([aPolicy('team-a', limited)], { pool: 'edge' });
    expect(here.get('Policy team-a/default')?.body).toMatchObject({
      base: 'Allow',
      clients: { apiKeys: [sha] },
    });
    expect(here.get('Keys team-a/secrets')).toBe(keys);
  });

  it('leaves credentials of the default policy, as those of gateways are for other namespaces as well', () => {
    expect(compile([aPolicy('ops', limited)]).get('Policy ops/default')?.body).toMatchObject({
      base: 'Deny',
      clients: { anonymous: 'Deny', apiKeys: [sha] },
    });
  });

  it('stays with the operator, as keysFromSecrets does: runtimes of an earlier version know neither', () => {
    const clients: Spec['clients'] = { keysFromSecrets: 'Allow', rightsFromSecrets: ['Users'] };
    const plain = compile([aPolicy('team-a', { base: 'Deny' })]).get('Policy team-a/default');
    const now = compile(
      [aPolicy('team-a', { base: 'Deny', clients, runtimes: { nodes } })],
      nodes.matchLabels,
    );
    expect(now.get('Policy team-a/default')).toEqual(plain);
    // What is sent is what is read, to the last field.
    for (const [key, { version, body }] of now)
      expect(resourceFromParts(key, version, JSON.parse(JSON.stringify(body)))).toMatchObject({
        resource: { version },
      });
  });
});
