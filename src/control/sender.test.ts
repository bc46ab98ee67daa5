import { describe, expect, it } from 'vitest';
import { type Resource, resourceKey, versioned } from '../plan/resources.ts';
import { adapter, adapters, arm, at, planOf, route, split, targetOf } from './plans.fixture.ts';
import { noRevision } from './revision.ts';
import { type Batch, Sender } from './sender.ts';

const empty = { held: new Map<string, string>(), revision: noRevision, subscriptions: [] };
const keysOf = (batch: Batch | undefined) => batch?.puts.map(resourceKey);
const reason = (resource: Parameters<typeof versioned>[0], why = 'no') => ({
  key: resourceKey(resource),
  version: versioned(resource).version,
  reason: why,
});

/** A sender whose runtime answered a first commit of the resources. */
const settled = (...resources: Resource[]) => {
  const sender = new Sender(empty);
  if (sender.next(targetOf(planOf(...resources), at(1))) !== undefined) sender.acknowledged(1n, []);
  return sender;
};

describe('a sender', () => {
  it('sends what the runtime does not hold, and removes what it should not hold', () => {
    const held = new Map([
      ['AdapterSpec team-a/a', versioned(adapter('a')).version],
      ['AdapterSpec team-a/b', 'old'],
      ['Split team-a/gone', 'any'],
    ]);
    const sender = new Sender({ ...empty, held, revision: at(1) });
    const batch = sender.next(targetOf(planOf(adapter('a'), adapter('b'), split('s')), at(2)));
    expect(keysOf(batch)).toEqual(['AdapterSpec team-a/b', 'Split team-a/s']);
    expect(batch).toMatchObject({
      removes: ['Split team-a/gone'],
      unknown: [],
      commit: { nonce: 1n, revision: at(2), confirmedRemovals: '' },
    });
  });

  it('sends nothing when nothing differs, also when the revision moved on', () => {
    const plan = planOf(adapter('a'));
    const held = new Map([...plan].map(([key, { version }]) => [key, version]));
    const sender = new Sender({ ...empty, held, revision: at(1) });
    expect(sender.next(targetOf(plan, at(1)))).toBeUndefined();
    expect(sender.next(targetOf(planOf(adapter('a')), at(9)))).toBeUndefined();
  });

  it('has one batch unanswered, and what happens meanwhile is one difference after it', () => {
    const sender = settled(split('s', { weight: 0 }));
    expect(keysOf(sender.next(targetOf(planOf(split('s', { weight: 5 })), at(2))))).toHaveLength(1);
    expect(sender.inFlight).toBe(true);
    for (const weight of [10, 20, 30]) {
      expect(sender.next(targetOf(planOf(split('s', { weight })), at(2 + weight)))).toBeUndefined();
    }
    expect(sender.reached).toEqual(at(1));
    expect(sender.acknowledged(2n, [])).toBe(true);
    expect(sender.reached).toEqual(at(2));
    const batch = sender.next(targetOf(planOf(split('s', { weight: 30 })), at(32)));
    expect(batch?.puts).toEqual([versioned(split('s', { weight: 30 }))]);
    expect(batch?.commit.nonce).toBe(3n);
  });

  it('sends nothing for what came and went while a batch was unanswered', () => {
    const sender = settled(split('s'));
    sender.next(targetOf(planOf(split('s'), split('t')), at(2)));
    sender.next(targetOf(planOf(split('s'), split('t'), split('u')), at(3)));
    sender.acknowledged(2n, []);
    expect(sender.next(targetOf(planOf(split('s'), split('t')), at(4)))).toBeUndefined();
  });

  it('sends nothing from a state that has not seen what the runtime has', () => {
    const sender = new Sender({ ...empty, revision: at(5, { routes: 9n }) });
    const stale = targetOf(planOf(adapter('a')), at(8));
    expect([sender.behind(stale), sender.next(stale)]).toEqual([true, undefined]);
    const caughtUp = targetOf(planOf(adapter('a')), at(9));
    expect(sender.behind(caughtUp)).toBe(false);
    expect(sender.next(caughtUp)).toBeDefined();
    expect(sender.behind(stale)).toBe(true);
  });

  it('knows no other answer than that of the batch that it sent', () => {
    const sender = new Sender(empty);
    expect(sender.acknowledged(1n, [])).toBe(false);
    sender.next(targetOf(planOf(adapter('a')), at(1)));
    expect([sender.acknowledged(2n, []), sender.acknowledged(1n, []), sender.acknowledged(1n, [])]).toEqual([
      false,
      true,
      false,
    ]);
  });
});

describe('what a runtime refuses', () => {
  const bad = (weight: number) => split('bad', { weight });

  it('is not sent again until its version changes, and does not keep the rest back', () => {
    const sender = new Sender(empty);
    sender.next(targetOf(planOf(adapter('a'), bad(1)), at(1)));
    sender.acknowledged(1n, [reason(bad(1), 'not like this')]);
    expect(sender.refused).toEqual(
      new Map([['Split team-a/bad', { version: versioned(bad(1)).version, reason: 'not like this' }]]),
    );
    expect(sender.next(targetOf(planOf(adapter('a'), bad(1)), at(2)))).toBeUndefined();
    expect(keysOf(sender.next(targetOf(planOf(adapter('a'), adapter('b'), bad(1)), at(3))))).toEqual([
      'AdapterSpec team-a/b',
    ]);
    sender.acknowledged(2n, []);
    expect(keysOf(sender.next(targetOf(planOf(adapter('a'), adapter('b'), bad(2)), at(4))))).toEqual([
      'Split team-a/bad',
    ]);
    sender.acknowledged(3n, []);
    expect(sender.refused.size).toBe(0);
  });

  it('is held at its former version: going back to that needs no message, and it is removed when it goes', () => {
    const sender = settled(bad(1));
    sender.next(targetOf(planOf(bad(2)), at(2)));
    sender.acknowledged(2n, [reason(bad(2))]);
    expect(sender.next(targetOf(planOf(bad(1)), at(3)))).toBeUndefined();
    expect(sender.refused.size).toBe(0);
    expect(sender.next(targetOf(planOf(), at(4)))?.removes).toEqual(['Split team-a/bad']);
  });

  it('is forgotten when the plan does not have it any more', () => {
    const sender = new Sender(empty);
    sender.next(targetOf(planOf(bad(1)), at(1)));
    sender.acknowledged(1n, [reason(bad(1))]);
    expect(sender.next(targetOf(planOf(), at(2)))).toBeUndefined();
    expect(sender.refused.size).toBe(0);
  });
});

describe('what is withheld', () => {
  const withheld = new Set(['Split team-a/s', 'Split team-a/new']);

  it('neither changes, nor goes, nor comes', () => {
    const sender = settled(split('s'), split('t'));
    const changed = planOf(split('s', { weight: 5 }), split('t', { weight: 5 }), split('new'));
    expect(keysOf(sender.next(targetOf(changed, at(2), { withheld })))).toEqual(['Split team-a/t']);
    sender.acknowledged(2n, []);
    expect(sender.next(targetOf(planOf(), at(3), { withheld }))?.removes).toEqual(['Split team-a/t']);
  });

  it('or not: keys of callers go from a runtime that is held once no plan has them', () => {
    const keys = 'Keys team-a/secrets';
    const held = new Map([keys, 'Route team-a/r'].map((key) => [key, 'v']));
    const only = new Set<string>();
    const sender = (): Sender => new Sender({ ...empty, held });
    expect(sender().next(targetOf(planOf(), at(1), { only }))?.removes).toEqual([keys]);
    const unread = new Set([keys]);
    expect(sender().next(targetOf(planOf(), at(1), { only, withheld: unread }))?.removes ?? []).toEqual([]);
  });

  it('is no matter of adapters where it is keys of callers', () => {
    const sender = settled(adapter('a'));
    const unwanted = planOf(adapter('a', { tier: 'None' }));
    const batch = sender.next(targetOf(unwanted, at(2), { withheld: new Set(['Keys team-a/secrets']) }));
    expect(batch).toMatchObject({ puts: [], removes: ['AdapterSpec team-a/a'] });
  });

  it('keeps adapters of its namespace that only it can want, but not one that is deleted', () => {
    const used = adapter('used', { held: true });
    const sender = settled(split('s', { stable: arm('used') }), used, adapter('deleted'), adapter('b/other'));
    const unwanted = [
      adapter('used', { tier: 'None', held: false }),
      adapter('b/other', { tier: 'None', held: false }),
    ];
    const batch = sender.next(targetOf(planOf(...unwanted), at(2), { withheld }));
    expect(batch).toMatchObject({
      puts: [],
      removes: ['AdapterSpec b/other', 'AdapterSpec team-a/deleted'],
    });
    sender.acknowledged(2n, []);
    expect(sender.next(targetOf(planOf(...unwanted), at(3)))?.removes).toEqual([
      'AdapterSpec team-a/used',
      'Split team-a/s',
    ]);
  });
});

describe('removals', () => {
  it('wait for the gate, key by key', () => {
    const sender = settled(...adapters(3));
    let open = new Set(['AdapterSpec team-a/a-1']);
    const target = targetOf(planOf(), at(2), { mayRemove: (key) => open.has(key) });
    expect(sender.next(target)?.removes).toEqual(['AdapterSpec team-a/a-1']);
    sender.acknowledged(2n, []);
    expect(sender.next(target)).toBeUndefined();
    open = new Set(['AdapterSpec team-a/a-0', 'AdapterSpec team-a/a-2']);
    expect(sender.next(target)?.removes).toHaveLength(2);
  });

  it('that a person confirmed are sent once on a stream', () => {
    const sender = settled(split('s'));
    const target = targetOf(planOf(split('s')), at(2), { confirmedRemovals: 'abc' });
    expect(sender.next(target)).toMatchObject({
      puts: [],
      removes: [],
      commit: { confirmedRemovals: 'abc' },
    });
    sender.acknowledged(2n, []);
    expect(sender.next(target)).toBeUndefined();
  });
});

describe('what was removed, and comes again', () => {
  it('is removed once more when it is refused: the runtime may have held the removal back', () => {
    const sender = settled(split('s'));
    sender.next(targetOf(planOf(), at(2)));
    sender.acknowledged(2n, []);
    const again = split('s', { weight: 5 });
    sender.next(targetOf(planOf(again), at(3)));
    sender.acknowledged(3n, [reason(again)]);
    expect(sender.next(targetOf(planOf(again), at(4)))).toBeUndefined();
    expect(sender.next(targetOf(planOf(), at(5)))?.removes).toEqual(['Split team-a/s']);
  });

  it.each([
    ['while fewer than 1,024 others were removed since', 1023, ['Split team-a/s']],
    ['no more behind that: what a stream remembers has a bound', 1024, undefined],
  ])('%s', (_, others, removes) => {
    const sender = settled(split('s'));
    let revision = 1;
    const settle = (...resources: Resource[]): void => {
      revision += 1;
      const batch = sender.next(targetOf(planOf(...resources), at(revision)));
      if (batch !== undefined) sender.acknowledged(batch.commit.nonce, []);
    };
    settle();
    for (let other = 0; other < others; other += 1) {
      settle(split(`other-${other}`));
      settle();
    }
    const again = split('s', { weight: 5 });
    const batch = sender.next(targetOf(planOf(again), at(revision + 1)));
    sender.acknowledged(batch?.commit.nonce ?? 0n, [reason(again)]);
    expect(sender.next(targetOf(planOf(), at(revision + 2)))?.removes).toEqual(removes);
  });
});

describe('names that a runtime asks for', () => {
  const plan = planOf(
    adapter('free', { tier: 'None' }),
    split('sql'),
    route('object', { model: 'Assistant' }),
  );

  it('bring adapters that the plan does not want by itself, until they are asked for no more', () => {
    const sender = settled(split('sql'), route('object', { model: 'Assistant' }));
    const target = targetOf(plan, at(2));
    expect(sender.next(target)).toBeUndefined();
    sender.subscribe(['team-a/free']);
    expect(keysOf(sender.next(target))).toEqual(['AdapterSpec team-a/free']);
    sender.acknowledged(2n, []);
    sender.subscribe([]);
    expect(sender.next(target)?.removes).toEqual(['AdapterSpec team-a/free']);
  });

  it('are answered once when nothing has them, and again when they are asked for again', () => {
    const names = ['team-a/free', 'team-a/sql', 'team-a/Assistant', 'team-a/object', 'team-a/typo'];
    const sender = new Sender({ ...empty, subscriptions: names });
    const target = targetOf(plan, at(1));
    expect(sender.next(target)?.unknown).toEqual(['team-a/object', 'team-a/typo']);
    sender.acknowledged(1n, []);
    expect(sender.next(target)).toBeUndefined();
    sender.subscribe(names);
    expect(sender.next(target)).toMatchObject({ puts: [], unknown: ['team-a/object', 'team-a/typo'] });
  });

  it('are not unknown while their object is not valid', () => {
    const sender = new Sender({ ...empty, subscriptions: ['team-a/broken'] });
    const withheld = new Set(['AdapterSpec team-a/broken']);
    expect(sender.next(targetOf(planOf(), at(1), { withheld }))).toBeUndefined();
    expect(sender.next(targetOf(planOf(), at(2)))?.unknown).toEqual(['team-a/broken']);
  });

  it('are left out when they are no names', () => {
    const sender = new Sender({ ...empty, subscriptions: ['x', '../a', 'a/b/c', 'team-a/ok'] });
    expect(sender.next(targetOf(planOf(), at(1)))?.unknown).toEqual(['team-a/ok']);
  });
});
