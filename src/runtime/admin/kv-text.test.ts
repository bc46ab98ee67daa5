import { expect, it } from 'vitest';
import { kvFields, kvText } from './kv-text.ts';

const room = {
  precision: 'float32' as const,
  bytesPerToken: 46_080,
  budgetBytes: 512 << 20,
  requests: 8,
  tokens: 1456,
  because: '',
};

it('says how many requests of how many tokens a node runs', () => {
  expect(kvText(room)).toBe(
    'this node runs 8 requests of 1,456 tokens at once (keys and values: float32, 46,080 bytes per token, 512 MiB)',
  );
  expect(kvText({ ...room, precision: 'int8', requests: 1, because: 'no room' })).toBe(
    'this node runs one request of 1,456 tokens at once (keys and values: int8, 46,080 bytes per token, 512 MiB; no room)',
  );
});

it('leaves out in a log that there is no reason', () => {
  expect(kvFields(room)).not.toHaveProperty('because');
  expect(kvFields(room)).toMatchObject({ room: kvText(room), tokens: 1456 });
  expect(kvFields({ ...room, because: 'no room' })).toMatchObject({ because: 'no room' });
});
