import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { isClaimedBy, type Lease } from './record.ts';
import { Term } from './term.ts';
import { addressAnnotation, type Candidate, LeaseWorld, leasePath } from './world.fixture.ts';

const leaseOf = (world: LeaseWorld): Lease => world.api.objects.get(leasePath) as Lease;
const patch = (world: LeaseWorld, body: object): unknown =>
  world.api.serve({ method: 'PATCH', path: leasePath, contentType: 'application/merge-patch+json', body });

/** A world with candidates; the first of them leads. */
const elected = async (...names: string[]) => {
  const world = new LeaseWorld();
  world.seed();
  const candidates = names.map((name) => world.candidate(name));
  for (const { election } of candidates) {
    election.start();
    await world.pass(100);
  }
  const [first, second = first] = candidates as [Candidate, Candidate?];
  expect(first.passes()).toBe(true);
  return { world, first, second };
};

describe('an election', () => {
  it('takes a lease that was signed off at once, and writes who leads and where', async () => {
    const { world, first } = await elected('a');
    expect(first.election.fence()).toBe(1);
    const { metadata, spec } = leaseOf(world);
    expect(metadata.annotations).toEqual({ [addressAnnotation]: 'https://a' });
    const micros = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(spec).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: micros,
      renewTime: micros,
      leaseTransitions: 1,
    });
  });

  it('makes a lease that is missing, and leads when that of an unseen leader must have run out', async () => {
    const world = new LeaseWorld();
    const candidate = world.candidate('a');
    candidate.election.start();
    await world.pass(14_900, () => expect(candidate.passes()).toBe(false));
    expect(leaseOf(world).spec?.holderIdentity).toBe('a');
    await world.pass(200);
    expect(candidate.passes()).toBe(true);
    expect(candidate.changes).toEqual([true]);
  });

  it('tells followers who leads and where, and takes nothing from a leader that renews', async () => {
    const { world, first, second } = await elected('a', 'b');
    const before = world.api.requests.length;
    await world.pass(60_000, () => {
      expect(second.passes()).toBe(false);
      expect(second.election.holder()).toEqual({ identity: 'a', address: 'https://a' });
    });
    const writes = world.api.requests.slice(before).filter(({ method }) => method !== 'GET');
    expect(writes.length).toBeLessThanOrEqual(13);
    expect(first.changes).toEqual([true]);
    expect(() => second.election.fence()).toThrow(
      expect.objectContaining({
        code: 'NOT_LEADER',
        what: 'b does not hold the lease system/operator, a does',
      }),
    );
  });

  it('hands over at once when the leader ends', async () => {
    const { world, first, second } = await elected('a', 'b');
    const closing = first.election.close();
    expect(first.passes()).toBe(false);
    await world.pass(200);
    await closing;
    expect(leaseOf(world).spec?.holderIdentity).toBe('');
    await world.pass(2700);
    expect(second.election.fence()).toBe(2);
    expect(second.election.holder()).toEqual({ identity: 'b', address: 'https://b' });
    expect(first.changes).toEqual([true, false]);
  });

  it('does not sign off a lease that it does not act on yet', async () => {
    const world = new LeaseWorld();
    const [first, second] = [world.candidate('a'), world.candidate('b')];
    first.election.start();
    await world.pass(100);
    const closing = first.election.close();
    second.election.start();
    await world.pass(14_000, () => expect(second.passes()).toBe(false));
    await closing;
  });

  it('passes no fence in a process that goes on after its lease, before anything else runs there', async () => {
    const { world, first, second } = await elected('a', 'b');
    first.pause();
    await world.pass(30_000);
    expect(second.election.fence()).toBe(2);
    expect(first.passes()).toBe(false);
    expect(first.changes).toEqual([true, false]);
    first.resume();
    await world.pass(30_000, () => expect(first.passes()).toBe(false));
    expect(first.election.holder()).toEqual({ identity: 'b', address: 'https://b' });
  });

  it('counts from when a renewal was sent, however late its answer is read', async () => {
    const { world, first, second } = await elected('a', 'b');
    world.api.before = ({ method }) => {
      // The server has it, and the process is stopped before the answer arrives.
      if (method === 'PUT') first.pause();
    };
    await world.pass(5100);
    world.api.before = () => {};
    const renewedAt = world.clock.monotonic();
    await world.pass(20_000);
    expect(second.passes()).toBe(true);
    first.resume();
    expect(world.clock.monotonic() - renewedAt).toBeGreaterThan(15_000);
    await world.pass(
      200,
      () => expect(first.passes()).toBe(false),
      () => 1,
    );
  });

  it('steps down by its own clock when the API server is away, and goes on when nobody took the lease', async () => {
    const { world, first, second } = await elected('a', 'b');
    world.fate = () => ({ upMs: undefined, downMs: undefined });
    await world.pass(17_500);
    expect(first.changes).toEqual([true, false]);
    expect(first.election.isLeader).toBe(false);
    expect(second.election.holder()).toBeUndefined();
    world.fate = () => ({ upMs: 5, downMs: 5 });
    await world.pass(10_000);
    expect([first, second].filter((one) => one.passes()).length).toBe(1);
  });

  it('survives a request that hangs', async () => {
    const { world, first } = await elected('a');
    let hung = 0;
    world.fate = () => (++hung === 1 ? { upMs: undefined, downMs: undefined } : { upMs: 5, downMs: 5 });
    await world.pass(60_000);
    expect(first.changes).toEqual([true]);
  });

  it('goes on leading when somebody else edits the record', async () => {
    const { world, first } = await elected('a');
    patch(world, { metadata: { labels: { team: 'x' } } });
    await world.pass(20_000);
    expect(first.changes).toEqual([true]);
    expect(leaseOf(world).metadata.labels).toEqual({ team: 'x' });
  });

  it('goes on leading, with the same epoch, when the record is deleted', async () => {
    const { world, first, second } = await elected('a', 'b');
    world.api.objects.delete(leasePath);
    await world.pass(20_000, () => {
      expect(first.election.fence()).toBe(1);
      expect(second.election.holder()?.identity).toBe('a');
    });
    expect(leaseOf(world).spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 1 });
  });

  it('makes a record anew whose leader is gone as well', async () => {
    const { world, first, second } = await elected('a', 'b');
    first.pause();
    world.api.objects.delete(leasePath);
    await world.pass(15_000, () => expect(second.passes()).toBe(false));
    await world.pass(18_000);
    expect(second.election.fence()).toBe(2);
  });

  it('stops as soon as it sees that another one has the lease', async () => {
    const { world, first } = await elected('a');
    patch(world, { spec: { holderIdentity: 'someone', renewTime: 'now', acquireTime: 'now' } });
    await world.pass(5400);
    expect(first.changes).toEqual([true, false]);
    expect(first.election.holder()?.identity).toBe('someone');
  });

  it('gives out an epoch above every one that was written, also one that turns up while it waits', async () => {
    const world = new LeaseWorld();
    world.lastEpoch = 41;
    const candidate = world.candidate('a');
    candidate.election.start();
    await world.pass(1000);
    expect(leaseOf(world).spec?.leaseTransitions).toBe(42);
    world.lastEpoch = 50;
    await world.pass(15_000);
    expect(candidate.election.fence()).toBe(51);
    expect(leaseOf(world).spec?.leaseTransitions).toBe(51);
  });

  it('comes back after its lease with a new epoch when the record is gone: another one may have led', async () => {
    const { world, first } = await elected('a');
    first.pause();
    await world.pass(13_000);
    world.api.objects.delete(leasePath);
    first.resume();
    await world.pass(1000);
    expect(leaseOf(world).spec?.leaseTransitions).toBe(2);
    await world.pass(13_000, () => expect(first.passes()).toBe(false));
  });

  it('lets no listener keep it from leading', async () => {
    const world = new LeaseWorld();
    world.seed();
    const candidate = world.candidate('a');
    candidate.election.onChange(() => {
      throw new Error('broken');
    });
    const seen: number[] = [];
    const end = candidate.election.onChange(({ epoch }) => seen.push(epoch));
    candidate.election.start();
    await world.pass(20_000);
    expect(candidate.passes()).toBe(true);
    expect(seen).toEqual([1]);
    end();
    await Promise.all([candidate.election.close(), world.pass(1000)]);
    expect(seen).toEqual([1]);
  });
});

describe('the term of a holder', () => {
  const claim = { acquireTime: 'x', epoch: 1, knowsBefore: true };
  const settings = (clock: FakeClock) => ({ clock, leaseMs: 15_000, quarantineMs: 15_000 });
  const begin = (clock: FakeClock): Term => {
    const askedAt = { monotonic: clock.monotonic(), wall: clock.now() };
    return Term.after(undefined, { claim, uid: 'u1', askedAt }, settings(clock));
  };

  it('ends early on a machine that slept without counting', () => {
    const clock = new FakeClock();
    const now = clock.now.bind(clock);
    const term = begin(clock);
    expect(term.leftMs()).toBe(12_000);
    clock.now = () => now() + 3_600_000;
    expect(term.isOver()).toBe(true);
    clock.now = () => now() - 3_600_000;
    expect(term.leftMs()).toBe(12_000);
  });

  it('begins anew after a record was made anew, unless it lasted until then', () => {
    const clock = new FakeClock();
    const term = begin(clock);
    clock.advance(11_000);
    const askedAt = { monotonic: clock.monotonic(), wall: clock.now() };
    const parts = { claim, uid: 'u2', askedAt };
    expect(Term.after(term, parts, settings(clock)).waitMs()).toBe(0);
    clock.advance(1000);
    expect(Term.after(term, parts, settings(clock)).waitMs()).toBe(15_000);
    expect(Term.after(term, { ...parts, uid: 'u1' }, settings(clock)).waitMs()).toBe(0);
    // However late the answer is here, the time counts from the request.
    expect(Term.after(term, parts, settings(clock)).leftMs()).toBe(11_000);
  });
});

it('takes a record of an earlier claim, or of another life of the process, for that of a stranger', () => {
  const lease = { spec: { holderIdentity: 'a', acquireTime: 'earlier' } } as Lease;
  expect(isClaimedBy(lease, 'a', { acquireTime: 'earlier', epoch: 1, knowsBefore: true })).toBe(true);
  expect(isClaimedBy(lease, 'a', { acquireTime: 'later', epoch: 1, knowsBefore: true })).toBe(false);
  expect(isClaimedBy(lease, 'b', { acquireTime: 'earlier', epoch: 1, knowsBefore: true })).toBe(false);
});
