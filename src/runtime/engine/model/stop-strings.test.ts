import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from './stop-strings.ts';

/** Cuts a text into pieces at random. */
const cut = (text: string): fc.Arbitrary<string[]> =>
  fc.array(fc.nat(text.length)).map((cuts) => {
    const at = [0, ...cuts.sort((a, b) => a - b), text.length];
    return at.slice(1).map((end, index) => text.slice(at[index], end));
  });

describe('stop strings', () => {
  it('end the text before the first one, wherever it is cut', () => {
    const small = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 20 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(
        small.chain((text) => fc.tuple(fc.constant(text), cut(text))),
        stops,
        ([text, parts], list) => {
          const filter = new StopStrings(list);
          let out = '';
          let stopped = false;
          for (const part of parts) {
            const result = filter.push(part);
            out += result.text;
            stopped = result.stopped;
            if (stopped) break;
          }
          if (!stopped) out += filter.flush();
          const first = Math.min(...list.map((stop) => text.indexOf(stop)).filter((index) => index >= 0));
          // With several stop strings the one that is complete first ends the text.
          if (list.length === 1 || first === Infinity) expect(out).toBe(text.slice(0, first));
          else expect(text.startsWith(out) && stopped).toBe(true);
        },
      ),
    );
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
