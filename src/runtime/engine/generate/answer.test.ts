import { describe, expect, it } from 'vitest';
import { Detokenizer } from '../model/detokenizer.ts';
import { StopStrings } from '../model/stop-strings.ts';
import { Answer } from './answer.ts';

const eos = 0;
const decode = (ids: readonly number[]): string =>
  new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id !== eos)));

const answer = (maxTokens: number, stops: string[] = [], opening = '', minTokens = 0): Answer =>
  new Answer({
    opening,
    minTokens,
    detokenizer: new Detokenizer(decode),
    stops: new StopStrings(stops),
    endIds: new Set([eos]),
    maxTokens,
  });

const read = (from: Answer, text: string): { text: string; finish: string | undefined } => {
  let out = '';
  for (const id of new TextEncoder().encode(text)) {
    const piece = from.push(id);
    out += piece.text;
    if (piece.finish !== undefined) return { text: out, finish: piece.finish };
  }
  return { text: out, finish: undefined };
};

describe('an answer', () => {
  it('begins with what its prompt opened, once', () => {
    expect(read(answer(3, [], '<think>\n'), 'abc')).toEqual({ text: '<think>\nabc', finish: 'length' });
    expect(answer(3, [], '<think>').push(eos)).toEqual({ text: '<think>', finish: 'stop' });
  });

  it('ends at an end token, which counts but has no text', () => {
    const from = answer(10);
    expect(read(from, 'hi\0')).toEqual({ text: 'hi', finish: 'stop' });
    expect(from.tokens).toBe(3);
  });

  it('ends with its last token, and what was held back for a stop string comes out', () => {
    expect(read(answer(3, ['cd']), 'abcd')).toEqual({ text: 'abc', finish: 'length' });
    expect(read(answer(10, ['cd']), 'abc\0')).toEqual({ text: 'abc', finish: 'stop' });
  });

  it('does not end at an end token that comes before it has its least length, unless it is the last one that may come', () => {
    const from = answer(9, [], '', 2);
    expect([eos, eos, eos].map((id) => from.push(id).finish)).toEqual([undefined, undefined, 'stop']);
    expect(answer(9, [], '', 2).push(eos, true).finish).toBe('stop');
  });

  it('does not end at a stop string that is complete before it has its least length', () => {
    const least = (tokens: number, stops: string[]) => read(answer(9, stops, '', tokens), 'abcabcabcabc');
    expect(least(2, ['bc'])).toEqual({ text: 'a', finish: 'stop' });
    expect(least(3, ['bc'])).toEqual({ text: 'abca', finish: 'stop' });
    // The end of what was held back for the longer one is known.
    expect(least(3, ['bcax', 'bc'])).toEqual({ text: 'abca', finish: 'stop' });
    expect(least(4, ['ca', 'cabc'])).toEqual({ text: 'ab', finish: 'stop' });
    expect(least(9, ['bc'])).toEqual({ text: 'abcabcabc', finish: 'length' });
  });

  it('ends before a stop string', () => {
    expect(read(answer(10, ['cd']), 'abcdef')).toEqual({ text: 'ab', finish: 'stop' });
    expect(read(answer(4, ['cd']), 'abcd')).toEqual({ text: 'ab', finish: 'stop' });
  });
});
