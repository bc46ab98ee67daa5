import { describe, expect, it } from 'vitest';
import type { CallsSource, Structure } from '../engine.ts';
import { seededRandom } from '../random.ts';
import { admits, grammarOf, written } from './compiled.fixture.ts';

const sourceOf = (most: number, ...schemas: readonly object[]): CallsSource => ({
  calls: schemas.map((schema, index) => ({
    name: `f${index}`,
    before: `<tool_call>\n{"name": "f${index}", "arguments": `,
    schema,
    after: '}\n</tool_call>',
  })),
  between: '\n',
  most,
});
const structureOf = (source: CallsSource): Structure => ({ kind: 'calls', source: JSON.stringify(source) });
const callsOf = (most: number, ...schemas: readonly object[]): Structure =>
  structureOf(sourceOf(most, ...schemas));
const orJson = (schema: unknown, ...tools: readonly object[]): Structure =>
  structureOf({ ...sourceOf(2, ...tools), orJson: schema });

const call = (name: string, text: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${text}}\n</tool_call>`;

const city = {
  type: 'object',
  $defs: { name: { enum: ['Oslo', 'Rome'] } },
  properties: { city: { $ref: '#/$defs/name' } },
  required: ['city'],
  additionalProperties: false,
};
const none = { type: 'object', properties: {}, additionalProperties: false };

describe('calls of tools', () => {
  it('have arguments by the schema of the tool, with its own references', async () => {
    const grammar = await grammarOf(callsOf(16, city, none));
    const first = call('f0', '{"city": "Oslo"}');
    const second = call('f1', '{}');
    for (const text of [first, second, `${first}\n${second}`, `${second}\n${first}\n${first}`])
      expect(admits(grammar, text), text).toBe(true);
    for (const text of [
      '',
      'It is warm.',
      call('f0', '{"city": "Bonn"}'),
      call('f0', '{}'),
      call('f1', '{"city": "Oslo"}'),
      call('f2', '{}'),
      `${first}${second}`,
      `${first}\n`,
      `${first} and`,
      first.slice(0, -1),
    ])
      expect(admits(grammar, text), text).toBe(false);
  });

  it('are as many as an answer may have', async () => {
    const grammar = await grammarOf(callsOf(2, none));
    const one = call('f0', '{}');
    expect(admits(grammar, [one, one].join('\n'))).toBe(true);
    expect(admits(grammar, [one, one, one].join('\n'))).toBe(false);
  });

  it('have the white space and the escapes that a schema by itself has', async () => {
    const grammar = await grammarOf(callsOf(1, { ...city, properties: { city: { type: 'string' } } }));
    expect(admits(grammar, call('f0', '{\n  "city": "a\\"b"\n}'))).toBe(true);
    expect(admits(grammar, call('f0', `{${' '.repeat(100)}"city": "a"}`))).toBe(false);
    expect(admits(grammar, call('f0', '{"city": "\\u0061"}'))).toBe(false);
  });

  it('are whole when nothing more may come', async () => {
    const grammar = await grammarOf(callsOf(1, city));
    const random = seededRandom(7);
    for (let run = 0; run < 10; run += 1)
      expect(written(grammar, random, 2000)).toMatch(/^<tool_call>\n\{"name": "f0", .*\}\n<\/tool_call>$/s);
  });
});

describe('calls beside JSON by a schema', () => {
  const answer = {
    type: 'object',
    $defs: { name: { enum: ['warm', 'cold'] } },
    properties: { it: { $ref: '#/$defs/name' } },
    required: ['it'],
    additionalProperties: false,
  };

  it('are calls alone, or JSON alone, each by its own schema', async () => {
    const grammar = await grammarOf(orJson(answer, city, none));
    const first = call('f0', '{"city": "Oslo"}');
    for (const text of [first, `${first}\n${call('f1', '{}')}`, '{"it": "warm"}'])
      expect(admits(grammar, text), text).toBe(true);
    for (const text of [
      '',
      'It is warm.',
      '{}',
      '{"it": "Oslo"}',
      '{"city": "Oslo"}',
      call('f0', '{"it": "warm"}'),
      `${first}\n{"it": "warm"}`,
      `{"it": "warm"}\n${first}`,
    ])
      expect(admits(grammar, text), text).toBe(false);
  });

  it('are one or the other when nothing more may come', async () => {
    const grammar = await grammarOf(orJson(answer, none));
    const random = seededRandom(3);
    const texts = new Set<string | undefined>();
    for (let run = 0; run < 20; run += 1) texts.add(written(grammar, random, 2000)?.replaceAll(/\s/g, ''));
    const called = '<tool_call>{"name":"f0","arguments":{}}</tool_call>';
    expect(texts.size).toBeGreaterThan(1);
    expect(
      [...texts].filter(
        (text) => !['{"it":"warm"}', '{"it":"cold"}', called, called + called].includes(text ?? ''),
      ),
    ).toEqual([]);
  });

  it.each([
    [true, '[1, {"a": "b"}]'],
    [{ type: 'integer' }, '17'],
  ])('may stand beside the schema %j', async (schema, text) => {
    expect(admits(await grammarOf(orJson(schema, none)), text)).toBe(true);
  });

  it.each<[string, unknown, RegExp]>([
    ['a keyword that is not enforced', { uniqueItems: true }, /^#: the keyword uniqueItems/],
    ['what could set the checks aside', { 'x-guidance': {} }, /^#: the keyword x-guidance/],
  ])('are refused with a schema that has %s', async (_, schema, message) => {
    await expect(grammarOf(orJson(schema, none))).rejects.toMatchObject({
      code: 'STRUCTURE_UNSUPPORTED',
      message: expect.stringMatching(message) as string,
    });
  });
});

it.each([
  [
    { type: 'object', uniqueItems: true },
    'STRUCTURE_UNSUPPORTED',
    /of the tool f1: #: the keyword uniqueItems/,
  ],
  [
    { type: 'object', 'x-guidance': {} },
    'STRUCTURE_UNSUPPORTED',
    /of the tool f1: #: the keyword x-guidance/,
  ],
])('what is not enforced is refused with the name of its tool: %j', async (schema, code, message) => {
  await expect(grammarOf(callsOf(1, none, schema))).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  });
});
