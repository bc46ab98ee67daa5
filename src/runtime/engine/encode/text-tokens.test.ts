import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { EncoderText } from '../tasks.ts';
import { tokensOf } from './text-tokens.ts';

/** A token for each character, between 1 and 2. */
const codec = {
  encode: (prompt: { kind: string; ids?: readonly number[] }) => {
    const { ids = [] } = prompt;
    if (ids.includes(99)) throw new AdaptletError('REQUEST_INVALID', 'no such token');
    return ids;
  },
  input: (text: string, limit: number) => {
    const ids = Array.from(text, () => 5);
    const isCut = ids.length + 2 > limit;
    return Promise.resolve({ ids: [1, ...ids.slice(0, Math.max(0, limit - 2)), 2], isCut });
  },
};
const text = (value: string): EncoderText => ({ kind: 'text', text: value });

describe('tokens of texts', () => {
  it('are counted, special ones included, and cut at what the model reads', async () => {
    expect(await tokensOf([text('ab'), text('abcdef'), text('abcd')], codec, 6)).toEqual({
      ids: [
        [1, 5, 5, 2],
        [1, 5, 5, 5, 5, 2],
        [1, 5, 5, 5, 5, 2],
      ],
      promptTokens: 16,
      truncated: [1],
    });
  });

  it('are taken as they are when they are given, and refused when they are too many or none', async () => {
    expect((await tokensOf([{ kind: 'ids', ids: [7, 8] }], codec, 2)).ids).toEqual([[7, 8]]);
    await expect(tokensOf([text('a'), { kind: 'ids', ids: [7, 8, 9] }], codec, 2)).rejects.toThrow(
      /maximum context length is 2 tokens; input 1 has 3/,
    );
    await expect(tokensOf([{ kind: 'ids', ids: [99] }], codec, 2)).rejects.toThrow(/no such token/);
  });
});
