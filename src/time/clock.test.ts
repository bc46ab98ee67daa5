import { describe, expect, it } from 'vitest';
import { systemClock } from './clock.ts';

describe('the clock of the machine', () => {
  it('calls nobody before the time has passed, also by less than a millisecond', async () => {
    const waits = Array.from(
      { length: 200 },
      (_, index) =>
        new Promise<number>((resolve) => {
          const ms = 1 + index / 7;
          const due = systemClock.monotonic() + ms;
          systemClock.after(ms, () => resolve(systemClock.monotonic() - due));
        }),
    );
    for (const late of await Promise.all(waits)) expect(late).toBeGreaterThanOrEqual(0);
  });

  it('calls nobody after a cancellation', async () => {
    let called = false;
    const cancel = systemClock.after(1, () => {
      called = true;
    });
    cancel();
    await new Promise<void>((resolve) => void systemClock.after(5, resolve));
    expect(called).toBe(false);
  });
});
