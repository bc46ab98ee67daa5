import { expect, it } from 'vitest';
import type { CompiledHeader } from './compiled-file.ts';
import { KnownHeaders } from './read-header.ts';

const header = (rank: number) => ({ rank }) as CompiledHeader;

it('gives a header back for the same bytes at the same path, and for no others', () => {
  const known = new KnownHeaders();
  known.set('a', Buffer.from('one'), header(1));
  expect(known.get('a', Buffer.from('one'))).toEqual(header(1));
  expect(known.get('a', Buffer.from('two'))).toBeUndefined();
  expect(known.get('b', Buffer.from('one'))).toBeUndefined();
});

it('keeps the newest only', () => {
  const known = new KnownHeaders();
  for (let i = 0; i < 100; i++) known.set(`${i}`, Buffer.from('x'), header(i));
  expect(known.get('0', Buffer.from('x'))).toBeUndefined();
  expect(known.get('99', Buffer.from('x'))).toEqual(header(99));
});
