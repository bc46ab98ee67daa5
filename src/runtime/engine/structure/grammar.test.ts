import { describe, expect, it } from 'vitest';
import { admits, allowed, grammarOf, ofSchema, tinyCodec } from './compiled.fixture.ts';

const order = ofSchema({
  type: 'object',
  properties: { customer: { type: 'string' }, quantity: { type: 'integer', minimum: 1, maximum: 12 } },
  required: ['customer', 'quantity'],
  additionalProperties: false,
});

describe('a JSON schema', () => {
  it('admits what is valid, with the white space that people and models write, and nothing else', async () => {
    const grammar = await grammarOf(order);
    for (const text of [
      '{"customer": "Ann", "quantity": 3}',
      '{"customer":"Ann","quantity":12}',
      '{\n  "customer": "\u00c5sa \\"x\\"",\n  "quantity": 1\n}',
    ])
      expect(admits(grammar, text), text).toBe(true);
    for (const text of [
      '',
      'null',
      '{"customer": "Ann"}',
      '{"customer": "Ann", "quantity": 13}',
      '{"customer": "Ann", "quantity": 3, "more": 1}',
      '{"customer": "Ann", "quantity": 3',
      ' {"customer": "Ann", "quantity": 3}',
      '{"customer": "Ann", "quantity": 3}\n',
      `{${' '.repeat(100)}"customer": "Ann", "quantity": 3}`,
    ])
      expect(admits(grammar, text), text).toBe(false);
  });

  it('a name cannot be written in another way to get around its schema', async () => {
    const grammar = await grammarOf(ofSchema({ properties: { a: { type: 'integer' } }, type: 'object' }));
    expect(admits(grammar, '{"b": "x"}')).toBe(true);
    expect(admits(grammar, '{"\\u0061": "x"}')).toBe(false);
    expect(admits(grammar, '{"a": "x"}')).toBe(false);
  });
});

it('a regular expression is matched as a whole', async () => {
  const grammar = await grammarOf({ kind: 'regex', source: '[a-c]{2}/\\d+' });
  expect(admits(grammar, 'ab/12')).toBe(true);
  for (const text of ['ab/', 'xab/1', 'ab/1x']) expect(admits(grammar, text), text).toBe(false);
});

it('a grammar in Lark is followed', async () => {
  const grammar = await grammarOf({ kind: 'lark', source: 'start: "a" start "b" | "c"' });
  expect(admits(grammar, 'aacbb')).toBe(true);
  for (const text of ['aacb', 'acbb', '']) expect(admits(grammar, text), text).toBe(false);
});

describe('what is not valid is told as it is', () => {
  it.each([
    ['a schema that is no JSON', { kind: 'json', source: '{' }, /no JSON/],
    ['an unknown format', ofSchema({ type: 'string', format: 'x-y' }), /Unknown format: x-y/],
    ['a schema that nothing satisfies', ofSchema(false), /[Uu]nsatisfiable/],
    ['alternatives that overlap', ofSchema({ oneOf: [{ type: 'integer' }, { minimum: 2 }] }), /oneOf/],
    ['a pattern that looks ahead', ofSchema({ type: 'string', pattern: '(?=a)b' }), /look/],
    ['a broken regular expression', { kind: 'regex', source: '(' }, /./],
    ['a grammar without a start', { kind: 'lark', source: 'a: "b"' }, /start/],
    ['a schema within a grammar', { kind: 'lark', source: 'start: %json {}' }, /%json/],
  ] as const)('%s', async (_, structure, message) => {
    await expect(grammarOf(structure)).rejects.toMatchObject({
      code: 'STRUCTURE_UNSUPPORTED',
      message: expect.stringMatching(message),
    });
  });
});

describe('what can only follow', () => {
  const structure = ofSchema({
    type: 'object',
    properties: { customer: { const: 'nobody else' } },
    required: ['customer'],
    additionalProperties: false,
  });

  it('comes with the token before it', async () => {
    const mask = (await grammarOf(structure)).begin(true);
    expect(allowed(mask.mask())).toEqual(['{']);
    const [brace = 0, quote = 0] = tinyCodec.encodePart('{"');
    expect(tinyCodec.decode(mask.took(brace))).toBe('');
    expect(tinyCodec.decode(mask.took(quote))).toBe('customer"');
    expect(mask.isOver).toBe(false);
    expect(allowed(mask.mask())).toContain(':');
  });

  it('is the only token of each mask where it is not taken at once, and the end is known without a token for it', async () => {
    const mask = (await grammarOf(structure)).begin(false);
    const text = '{"customer":"nobody else"}';
    for (const id of tinyCodec.encodePart(text)) {
      expect(allowed(mask.mask())).toContain(tinyCodec.describe(id).token);
      expect(mask.took(id)).toEqual([]);
    }
    expect(mask.isOver).toBe(true);
    expect(allowed(mask.mask())).toEqual([undefined]);
  });

  it('matchers of one grammar know nothing of each other', async () => {
    const grammar = await grammarOf({ kind: 'regex', source: 'ab|cd' });
    const [one, other] = [grammar.begin(false), grammar.begin(false)];
    const [a = 0, , c = 0] = tinyCodec.encodePart('abc');
    one.took(a);
    other.took(c);
    expect(allowed(one.mask())).toEqual(['b']);
    expect(allowed(other.mask())).toEqual(['d']);
    one.release();
    one.release();
    expect(grammar.isUsed).toBe(true);
    other.release();
    expect(grammar.isUsed).toBe(false);
  });
});

it('a token that was not allowed ends that answer, and the next one begins anew', async () => {
  const grammar = await grammarOf({ kind: 'regex', source: 'ab' });
  const mask = grammar.begin(false);
  const [a = 0, b = 0] = tinyCodec.encodePart('ab');
  expect(() => mask.took(b)).toThrow();
  mask.release();
  expect(grammar.isGood).toBe(false);
  const next = grammar.begin(false);
  next.took(a);
  expect(allowed(next.mask())).toEqual(['b']);
});
