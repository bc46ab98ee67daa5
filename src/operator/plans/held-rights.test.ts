import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { noRevision } from '../../control/revision.ts';
import { Sender } from '../../control/sender.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { resourceKey, type Versioned } from '../../plan/resources.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { planWhenHeld } from './when-held.ts';

const runtime = { key: 'edge/a', labels: {} };
const sql = (preload: 'Memory' | 'Disk' = 'Memory') =>
  anAdapter({ name: 'sql' }, { digest: fakeDigest('1'), preload: { tier: preload } });
const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };

/** A runtime that does what it is sent, at once. */
class Node {
  readonly #sender = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
  readonly resources = new Map<string, Versioned>();
  isHeld = false;

  follow(...manifests: Parameters<typeof compilePlan>[0]['manifests'][number][]): this {
    const { plan } = compilePlan({ manifests, runtime: { ...runtime, baseModel: 'tiny' } });
    for (let turn = 0; turn < 5; turn++) {
      const state = { adapters: new Map(), rollouts: new Map() };
      const versionOf = (key: string) => this.resources.get(key)?.version;
      const withheld = new Set<string>();
      const input = { plan, withheld, state, runtime, rolloutOf: () => undefined, versionOf };
      const target = this.isHeld ? planWhenHeld(input) : { plan, withheld };
      const rest = { revision: noRevision, mayRemove: () => true, confirmedRemovals: '' };
      const batch = this.#sender.next({ ...target, ...rest });
      if (batch === undefined) return this;
      for (const one of batch.puts) this.resources.set(resourceKey(one), one);
      for (const key of batch.removes) this.resources.delete(key);
      this.#sender.acknowledged(batch.commit.nonce, []);
    }
    throw new Error('there is always something more to send');
  }

  hold(): this {
    this.isHeld = true;
    return this;
  }

  get adapter() {
    return this.resources.get('AdapterSpec team-a/sql')?.body;
  }
}

describe('rights on a runtime that is held', () => {
  it('end with the policy that gave or took them', () => {
    const node = new Node().follow(sql(), aPolicy('team-a', { base: 'Deny' })).hold();
    node.follow(sql());
    expect([...node.resources.keys()]).toEqual(['AdapterSpec team-a/sql']);
  });

  it('have its adapters signed, or no longer, as the policy says now', () => {
    const node = new Node().follow(sql(), aPolicy('team-a')).hold();
    node.follow(sql(), aPolicy('team-a', { signatures }));
    expect(node.adapter).toHaveProperty('signed', true);
    node.follow(sql());
    expect(node.adapter).not.toHaveProperty('signed');
    expect([...node.resources.keys()]).toEqual(['AdapterSpec team-a/sql']);
  });

  it('change, and the tier of an adapter does not', () => {
    const node = new Node().follow(sql(), aPolicy('team-a')).hold();
    node.follow(sql('Disk'), aPolicy('team-a'));
    expect(node.adapter).toMatchObject({ tier: 'Memory' });
    node.follow(sql('Disk'), aPolicy('team-a', { signatures }));
    expect(node.adapter).toMatchObject({ tier: 'Memory', signed: true });
  });

  it('are all that changes: an adapter that is removed stays', () => {
    const node = new Node().follow(sql(), aPolicy('team-a')).hold();
    node.follow();
    expect([...node.resources.keys()]).toEqual(['AdapterSpec team-a/sql']);
  });
});
