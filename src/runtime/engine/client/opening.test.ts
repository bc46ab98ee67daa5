import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Opening } from './opening.ts';

const start = () => {
  const clock = new FakeClock();
  const lines: unknown[] = [];
  const say = (keys: object, message: string): void => void lines.push([message, keys]);
  const stuck: string[] = [];
  const opening = new Opening({
    clock,
    logger: { debug: say, info: say, warn: say, error: say },
    limitMs: 600_000,
    onStuck: (what) => stuck.push(what),
  });
  return { clock, lines, stuck, opening };
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

it('tells what takes longer than one part may, its first one too, and nothing of what is over', () => {
  const { clock, stuck, opening } = start();
  clock.advance(599_999);
  opening.doing('reading');
  clock.advance(599_999);
  expect(stuck).toEqual([]);
  opening.doing('proving');
  clock.advance(600_000);
  expect(stuck).toEqual(['proving']);
  clock.advance(600_000);
  expect(stuck).toEqual(['proving']);

  const unheard = start();
  unheard.clock.advance(600_000);
  expect(unheard.stuck).toEqual(['its start']);

  const open = start();
  open.opening.end();
  open.clock.advance(600_000);
  expect(open.stuck).toEqual([]);
});
