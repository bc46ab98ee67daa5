import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Opening } from './opening.ts';

const start = () => {
  const clock = new FakeClock();
  const lines: unknown[] = [];
  const say = (keys: object, message: string): void => void lines.push([message, keys]);
  const opening = new Opening({ clock, logger: { debug: say, info: say, warn: say, error: say } });
  return { clock, lines, opening };
};

it('tells what opening a model does, again when it takes long, and how long each part took', () => {
  const { clock, lines, opening } = start();
  opening.doing('reading');
  clock.advance(4_000);
  opening.doing('proving');
  clock.advance(31_000);
  expect(opening.end()).toEqual({ reading: 4_000, proving: 31_000 });
  expect(lines).toEqual([
    ['the base model is being loaded', { doing: 'reading' }],
    ['the base model is being loaded', { doing: 'proving' }],
    ['the base model is still being loaded', { doing: 'proving', ms: 15_000 }],
    ['the base model is still being loaded', { doing: 'proving', ms: 30_000 }],
  ]);
  clock.advance(60_000);
  expect(lines).toHaveLength(4);
});

it('says nothing of a process that ended before it did anything', () => {
  const { clock, lines, opening } = start();
  expect(opening.end()).toEqual({});
  clock.advance(60_000);
  expect(lines).toEqual([]);
});
