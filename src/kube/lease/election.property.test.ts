import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { seeded as randomFrom } from '../../../test/support/random.ts';
import { type Candidate, type Fate, LeaseWorld, leasePath } from './world.fixture.ts';

type Trouble =
  | { do: 'pause' | 'crash' | 'close'; who: number; forMs: number }
  | { do: 'delete' | 'empty' | 'label' | 'replace'; forMs: number }
  | { do: 'network'; forMs: number; loss: number; slow: number };

const forMs = fc.constantFrom(50, 900, 4000, 13_000, 16_000, 40_000);
const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  fc.record({ do: fc.constantFrom('pause', 'pause', 'crash', 'close'), who: fc.nat(2), forMs }),
  fc.record({ do: fc.constantFrom('delete', 'delete', 'empty', 'label', 'replace'), forMs }),
  fc.record({
    do: fc.constant('network'),
    forMs,
    loss: fc.constantFrom(0, 0.1, 1),
    slow: fc.constantFrom(0, 0.3, 0.9),
  }),
) as fc.Arbitrary<Trouble>;

const fateOf = (random: () => number, loss: number, slow: number): Fate => {
  const way = (): number | undefined => {
    if (random() < loss) return undefined;
    return random() < slow ? random() * 30_000 : 1 + random() * 40;
  };
  return { upMs: way(), downMs: way() };
};

/** Candidates that come and go, under a list of troubles. */
class Story {
  readonly world: LeaseWorld;
  readonly candidates: Candidate[] = [];
  readonly leaders: { identity: string; epoch: number }[] = [];
  #born = 0;

  constructor(random: () => number, seeded: boolean) {
    this.world = new LeaseWorld(random);
    if (seeded) this.world.seed();
    for (let i = 0; i < 3; i += 1) this.bear(i);
  }

  bear(place: number): void {
    const candidate = this.world.candidate(`c${(this.#born += 1)}`);
    this.candidates[place] = candidate;
    candidate.election.start();
  }

  /** At every moment, also in a process that is stopped: that is where it will go on. */
  look = (): void => {
    const leading = this.candidates.filter((candidate) => candidate.passes());
    expect(leading.map(({ identity }) => identity).slice(1)).toEqual([]);
    const [leader] = leading;
    if (leader === undefined) return;
    const epoch = leader.election.fence();
    const last = this.leaders.at(-1);
    if (last?.identity === leader.identity) expect(epoch).toBeGreaterThanOrEqual(last.epoch);
    else if (last !== undefined) expect(epoch).toBeGreaterThan(last.epoch);
    this.leaders.push({ identity: leader.identity, epoch });
    this.world.lastEpoch = Math.max(this.world.lastEpoch, epoch);
  };

  pass(ms: number): Promise<void> {
    return this.world.pass(ms, this.look, () => 20 + this.world.random() * 180);
  }

  async suffer(one: Trouble): Promise<void> {
    const { api } = this.world;
    const lease = api.objects.get(leasePath);
    switch (one.do) {
      case 'pause': {
        const who = this.candidates[one.who]!; // There are three.
        who.pause();
        await this.pass(one.forMs);
        who.resume();
        this.look();
        return;
      }
      case 'crash':
        this.candidates[one.who]!.pause();
        this.bear(one.who);
        return this.pass(one.forMs);
      case 'close':
        void this.candidates[one.who]!.election.close();
        await this.pass(one.forMs);
        this.bear(one.who);
        return;
      case 'network':
        this.world.fate = () => fateOf(this.world.random, one.loss, one.slow);
        return this.pass(one.forMs);
      case 'delete':
      case 'replace':
        api.objects.delete(leasePath);
        if (one.do === 'replace')
          this.world.api.serve({
            method: 'POST',
            path: leasePath.replace(/\/operator$/, ''),
            body: { metadata: { name: 'operator', namespace: 'system' }, spec: {} },
          });
        return this.pass(one.forMs);
      case 'empty':
        if (lease !== undefined)
          api.serve({
            method: 'PATCH',
            path: leasePath,
            contentType: 'application/merge-patch+json',
            body: { spec: { holderIdentity: '' } },
          });
        return this.pass(one.forMs);
      case 'label':
        if (lease !== undefined)
          api.serve({
            method: 'PATCH',
            path: leasePath,
            contentType: 'application/merge-patch+json',
            body: { metadata: { labels: { at: `${this.world.clock.now()}` } } },
          });
        return this.pass(one.forMs);
    }
  }
}

it('has one leader at a time, with a growing epoch, and at the end one that all know', async () => {
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.boolean(),
      fc.array(trouble, { maxLength: 12 }),
      async (seed, seeded, troubles) => {
        const story = new Story(randomFrom(seed).next, seeded);
        await story.pass(20_000);
        for (const one of troubles) await story.suffer(one);
        story.world.fate = () => ({ upMs: 5, downMs: 5 });
        // What is still under way arrives, and one lease runs out.
        await story.pass(100_000);
        const leading = story.candidates.filter((candidate) => candidate.passes());
        expect(leading.length).toBe(1);
        const holder = { identity: leading[0]?.identity, address: `https://${leading[0]?.identity}` };
        for (const { election } of story.candidates) {
          expect(election.holder()).toEqual(holder);
          expect(election.epoch).toBe(leading[0]?.election.epoch);
        }
        changes += new Set(story.leaders.map(({ identity }) => identity)).size - 1;
      },
    ),
    { numRuns: 40 },
  );
  // Of 40 stories usually 20 to 40 have a change of leader; without any the test would prove little.
  expect(changes).toBeGreaterThan(4);
});
