import { describe, expect, it } from 'vitest';
import { readBody } from '../control/bodies.ts';
import { readKey } from '../control/key.ts';
import { aKeyPair, signersOf } from '../signature/signatures.fixture.ts';
import { compilePlan } from './compile.ts';
import { anAdapter, aPolicy } from './manifests.fixture.ts';

const signers = signersOf({ release: aKeyPair() });
const compile = (required: boolean | undefined, own = false) => {
  const adapter = anAdapter({ name: 'sql' }, own ? { signatures: signers } : {});
  const policy = aPolicy('team-a', required === undefined ? {} : { signatures: { required, ...signers } });
  return compilePlan({ manifests: [adapter, policy], runtime: { baseModel: 'tiny', labels: {} } }).plan;
};
const bodies = (plan: ReturnType<typeof compile>) => [
  plan.get('AdapterSpec team-a/sql')?.body,
  plan.get('Policy team-a/default')?.body,
];

describe('signatures in a plan', () => {
  it('are in the policy and marked on its adapters, so that a runtime that does not know them serves none', () => {
    const [adapter, policy] = bodies(compile(true));
    expect(adapter).toMatchObject({ signed: true });
    expect(policy).toMatchObject({ signatures: { required: true, ...signers } });
  });

  it('are nowhere in it where the policy only watches, or says nothing', () => {
    for (const plan of [compile(false), compile(undefined)])
      for (const body of bodies(plan)) {
        expect(body).not.toHaveProperty('signed');
        expect(body).not.toHaveProperty('signatures');
      }
  });

  it('are those of the Adapter itself', () => {
    const [adapter, policy] = bodies(compile(undefined, true));
    expect(adapter).toMatchObject({ signatures: signers });
    expect(adapter).not.toHaveProperty('signed');
    expect(policy).not.toHaveProperty('signatures');
  });

  it('go over the wire', () => {
    for (const resource of compile(true, true).values()) {
      const name = readKey(`${resource.type} ${resource.name}`);
      const json: unknown = JSON.parse(JSON.stringify(resource.body));
      expect(name && readBody(name, json)).toMatchObject({ resource: { body: resource.body } });
    }
  });
});
