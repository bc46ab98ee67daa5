import { expect, it } from 'vitest';
import { z } from 'zod';
import { parsedBy } from './parsed.ts';
import { text } from './text.ts';

const odd = { length: { toString: null } };
const schema = z.object({ names: z.array(text(5).min(1)).max(3), more: z.unknown().optional() });

it('says of what zod does, and where the part is that it cannot look at', () => {
  const good = { names: ['a'], more: 1 };
  expect(parsedBy(schema, good)).toEqual({ success: true, data: good });
  const issuesOf = (value: unknown) => parsedBy(schema, value).error?.issues;
  expect(issuesOf({ names: ['', 'b'] })).toMatchObject([{ code: 'too_small', path: ['names', 0] }]);
  const issue = { message: 'is an object whose length is no number' };
  expect(issuesOf({ names: ['a', odd] })).toMatchObject([{ ...issue, path: ['names', 1] }]);
  expect(issuesOf({ names: odd })).toMatchObject([{ ...issue, path: ['names'] }]);
  expect(issuesOf({ names: ['a'], more: odd })).toBeUndefined();
});

it('throws what a check of ours throws', () => {
  const broken = schema.refine(() => {
    throw new TypeError('broken');
  });
  expect(() => parsedBy(broken, { names: [], more: 1 })).toThrow('broken');
});

it('looks no further than the first issue where that is enough', () => {
  const many = z.object({ inner: z.array(z.object({ names: z.array(z.string()) })) });
  const value = { inner: [{ names: Array(200_000).fill(1) }] };
  expect(parsedBy(many, value, 'first').error?.issues).toMatchObject([{ path: ['inner', 0, 'names', 0] }]);
});
