import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from './stop-strings.ts';

/** Cuts a text into pieces at random. */
const cut = (text: string): fc.Arbitrary<string[]> =>
  fc.array(fc.nat(text.length)).map((cuts) => {
    const at = [0, ...cuts.sort((a, b) => a - b), text.length];
    return at.slice(1).map((end, index) => text.slice(at[index], end));
  });

/** The end of a text by the rule: the stop string that is complete first; of those complete together the longest. */
const endByRule = (text: string, stops: readonly string[]): number => {
  for (let end = 0; end <= text.length; end += 1) {
    const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (complete.length > 0) return end - Math.max(...complete.map((stop) => stop.length));
  }
  return text.length;
};

/** What comes out of a text in pieces, in pieces. */
const run = (stops: readonly string[], parts: readonly string[]): { pieces: string[]; stopped: boolean } => {
  const filter = new StopStrings(stops);
  const pieces: string[] = [];
  for (const part of parts) {
    const { text, stopped } = filter.push(part);
    pieces.push(text);
    if (stopped) return { pieces, stopped };
  }
  return { pieces: [...pieces, filter.flush()], stopped: false };
};

const stopsOf = (unit: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.array(fc.string({ unit, minLength: 1, maxLength: 5 }), { maxLength: 4 });

describe('stop strings', () => {
  it('end the text before the one that is complete first, however it is cut', () => {
    const unit = fc.constantFrom('a', 'b', '\u{1F600}');
    const text = fc.string({ unit, maxLength: 20 });
    fc.assert(
      fc.property(
        text.chain((whole) => fc.tuple(fc.constant(whole), cut(whole))),
        stopsOf(unit),
        ([whole, parts], stops) => {
          const { pieces, stopped } = run(stops, parts);
          const end = endByRule(whole, stops);
          expect(pieces.join('')).toBe(whole.slice(0, end));
          expect(stopped).toBe(stops.some((stop) => whole.includes(stop)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('never let the beginning of one out while it can still be completed', () => {
    const unit = fc.constantFrom('a', 'b', 'c');
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 20 }), stopsOf(unit), (whole, stops) => {
        const filter = new StopStrings(stops);
        let out = '';
        let seen = '';
        for (const character of whole) {
          const { text, stopped } = filter.push(character);
          out += text;
          seen += character;
          if (stopped) return;
          const open = stops.flatMap((stop) =>
            Array.from({ length: stop.length - 1 }, (_, length) => stop.slice(0, length + 1)),
          );
          const held = Math.max(0, ...open.filter((part) => seen.endsWith(part)).map((part) => part.length));
          expect(out).toBe(seen.slice(0, seen.length - held));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('do not depend on the order in which they are named', () => {
    expect(run(['abc', 'b'], ['abc']).pieces.join('')).toBe('a');
    expect(run(['b', 'abc'], ['abc']).pieces.join('')).toBe('a');
    expect(run(['bc', 'abc'], ['xabc']).pieces.join('')).toBe('x');
  });

  it('hold back only what could become one', () => {
    const filter = new StopStrings(['\n\nUser:']);
    expect(filter.push('Hello\n')).toEqual({ text: 'Hello', stopped: false });
    expect(filter.push('\nUs')).toEqual({ text: '', stopped: false });
    expect(filter.push('a')).toEqual({ text: '\n\nUsa', stopped: false });
    expect(filter.push('\n\nUser: no')).toEqual({ text: '', stopped: true });
  });

  it('pass everything on when there are none', () => {
    expect(new StopStrings(['']).push('text')).toEqual({ text: 'text', stopped: false });
  });
});
