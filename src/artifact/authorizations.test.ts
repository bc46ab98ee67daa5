import { describe, expect, it } from 'vitest';
import { FakeClock } from '../time/fake-clock.ts';
import { Authorizations, maxAuthorizations } from './authorizations.ts';

const start = () => {
  const clock = new FakeClock();
  return { clock, known: new Authorizations(clock) };
};
const token = (header: string, lifetimeMs = 60_000) => ({ header, lifetimeMs });

describe('the authorizations of repositories', () => {
  it('are used until their time is over, and not longer', () => {
    const { clock, known } = start();
    known.set('r/a', token('Bearer a'));
    clock.advance(59_999);
    expect(known.get('r/a')?.header).toBe('Bearer a');
    clock.advance(1);
    expect([known.get('r/a')?.header, known.size]).toEqual([undefined, 0]);
  });

  it('are no more than so many, however many repositories are asked, and those in use stay', () => {
    const { known } = start();
    known.set('r/used', token('Bearer used'));
    for (let i = 0; i < 10_000; i++) {
      known.set(`r/user-${i}`, token(`Bearer ${i}`));
      expect(known.get('r/used')?.header).toBe('Bearer used');
    }
    expect(known.size).toBe(maxAuthorizations);
    expect(known.get('r/user-0')?.header).toBeUndefined();
    expect(known.get('r/user-9999')?.header).toBe('Bearer 9999');
  });

  it('make room by those whose time is over, first', () => {
    const { clock, known } = start();
    known.set('r/old', token('Bearer old', 600_000));
    for (let i = 1; i < maxAuthorizations; i++) known.set(`r/${i}`, token('Bearer x', 1000));
    clock.advance(1000);
    known.set('r/new', token('Bearer new'));
    expect([known.size, known.get('r/old')?.header]).toEqual([2, 'Bearer old']);
  });

  it('are forgotten when the registry refuses them', () => {
    const { known } = start();
    known.set('r/a', token('Bearer a'));
    known.forget('r/a');
    expect(known.get('r/a')?.header).toBeUndefined();
  });
});
