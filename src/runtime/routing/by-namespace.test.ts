import { describe, expect, it } from 'vitest';
import { ByNamespace } from './by-namespace.ts';

describe('what is remembered', () => {
  it('is forgotten of the name that was set longest ago', () => {
    const table = new ByNamespace<string>(2);
    for (const session of ['1', '2', '1', '3']) table.set('a', session, session);
    expect(['1', '2', '3'].map((session) => table.get('a', session))).toEqual(['1', undefined, '3']);
    expect(table.weight).toBe(2);
  });

  it('takes places from the namespace that has most, and from no other', () => {
    const table = new ByNamespace<number>(100);
    for (let id = 0; id < 10; id++) table.set('quiet', String(id), id);
    for (let id = 0; id < 10_000; id++) table.set('loud', String(id), id);
    expect(table.weight).toBe(100);
    for (let id = 0; id < 10; id++) expect(table.get('quiet', String(id))).toBe(id);
    expect(table.get('loud', '9999')).toBe(9999);
    expect(table.get('loud', '0')).toBeUndefined();
  });

  it('is that of its namespace, until it is deleted', () => {
    const table = new ByNamespace<number>(2);
    table.set('a', '1', 1);
    expect([table.get('a', '1'), table.get('b', '1')]).toEqual([1, undefined]);
    table.delete('b', '1');
    table.delete('a', '1');
    table.delete('a', '1');
    expect([table.get('a', '1'), table.weight]).toEqual([undefined, 0]);
  });

  it('may weigh so much together, whatever its number is', () => {
    const table = new ByNamespace<string>(10, ({ length }) => length);
    for (const value of ['aaaa', 'bbb', 'ccc', 'ddddd']) table.set('a', value, value);
    expect(['aaaa', 'bbb', 'ccc', 'ddddd'].map((name) => table.get('a', name))).toEqual([
      undefined,
      undefined,
      'ccc',
      'ddddd',
    ]);
    expect(table.weight).toBe(8);
    table.set('a', 'ccc', 'c');
    expect(table.weight).toBe(6);
    table.set('a', 'all', 'x'.repeat(11));
    expect([table.get('a', 'all'), table.weight]).toEqual([undefined, 0]);
  });
});
