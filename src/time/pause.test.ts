import { describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import { pause } from './pause.ts';

describe('a pause', () => {
  it('ends when its time has passed, and by an abort at once, before or during it', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const whole = pause(clock, 1000, stop.signal);
    clock.advance(1000);
    await whole;
    const broken = pause(clock, 1000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(broken).rejects.toThrow('enough');
    await expect(pause(clock, 1000, stop.signal)).rejects.toThrow('enough');
  });
});
