import { describe, expect, it } from 'vitest';
import { bandwidth, timeZone } from './values.ts';

describe('the setting of a bandwidth', () => {
  it.each([
    ['', [], Infinity],
    ['1Mi', [], 1048576],
    ['22:00-06:00=10Mi', [{ from: 1320, to: 360, bytesPerSecond: 10485760 }], Infinity],
    [
      '00:00-6:30=0, 12:00-24:00=1.5k ,7',
      [
        { from: 0, to: 390, bytesPerSecond: 0 },
        { from: 720, to: 1440, bytesPerSecond: 1500 },
      ],
      7,
    ],
  ])('reads %j', (text, windows, otherwise) => {
    expect(bandwidth.parse(text)).toEqual({ windows, otherwise });
  });

  it.each([
    ['fast', /must be a quantity/],
    ['22:00=1Mi', /must be a time of the day/],
    ['25:00-06:00=1Mi', /must be a time of the day/],
    ['22:00-06:00-07:00=1Mi', /two times of the day/],
    ['22:00-06:00=', /must be a quantity/],
    ['1Mi,2Mi', /only one rate/],
  ])('refuses %j', (text, message) => {
    expect(bandwidth.safeParse(text).error?.issues[0]?.message).toMatch(message);
  });

  it('has a time zone that there is', () => {
    expect(timeZone.safeParse('Europe/Berlin').success).toBe(true);
    expect(timeZone.safeParse('Berlin').error?.issues[0]?.message).toMatch(/must be a time zone/);
  });
});
