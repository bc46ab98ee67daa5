import { expect, it } from 'vitest';
import { readChat } from '../http/bodies.ts';
import { readInferParameters } from '../oip/parameters.ts';
import { optionsOf } from './options.ts';

const chat = (more: object) => ({ model: 'x', messages: [{ role: 'user', content: 'x' }], ...more });
const asked = (more: object) => optionsOf(readChat(chat(more))).structure;
const schema = { type: 'object', properties: { b: { type: 'string' }, a: {} } };
const json = { kind: 'json', source: JSON.stringify(schema) };

it.each([
  ['nothing', {}, undefined],
  ['text', { response_format: { type: 'text' } }, undefined],
  ['any object', { response_format: { type: 'json_object' } }, { kind: 'json', source: '{"type":"object"}' }],
  [
    "OpenAI's schema",
    {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'x', strict: true, description: 'y', schema },
      },
    },
    json,
  ],
  ["vLLM's", { structured_outputs: { json: schema, disable_fallback: true } }, json],
  ['its text', { structured_outputs: { json: json.source } }, json],
  ['an older one', { guided_json: schema }, json],
  ['no object after all', { structured_outputs: { json_object: false } }, undefined],
  ['a regular expression', { guided_regex: 'a/b' }, { kind: 'regex', source: 'a/b' }],
  ['a grammar', { structured_outputs: { grammar: 'start: "a"' } }, { kind: 'lark', source: 'start: "a"' }],
  ['choices', { guided_choice: ['a "b"', '\n'] }, { kind: 'lark', source: 'start: "a \\"b\\"" | "\\n"' }],
  ['null', { response_format: null, structured_outputs: null, guided_json: null }, undefined],
])('%s', (_, more, structure) => {
  expect(asked(more)).toEqual(structure);
});

it.each([
  [
    'two of them',
    { response_format: { type: 'json_object' }, guided_regex: 'a' },
    'guided_regex',
    /says it already/,
  ],
  [
    'two in one',
    { structured_outputs: { regex: 'a', choice: ['a'] } },
    'structured_outputs.choice',
    /says it already/,
  ],
  [
    'no schema',
    { response_format: { type: 'json_schema' } },
    'response_format.json_schema',
    /has no json_schema/,
  ],
  ['an unknown type', { response_format: { type: 'xml' } }, 'response_format.type', /./],
  [
    'an unknown field',
    { response_format: { type: 'text', shema: {} } },
    'response_format.shema',
    /not known/,
  ],
  ['an empty choice', { guided_choice: [] }, 'guided_choice', /must have a text/],
  ['another backend', { guided_decoding_backend: 'outlines' }, 'guided_decoding_backend', /llguidance/],
])('%s is refused by its name', (_, more, param, message) => {
  expect(() => asked(more)).toThrow(
    expect.objectContaining({ param, message: expect.stringMatching(message) }),
  );
});

it('a schema that nests deeper than any is written is refused, not an error of ours', () => {
  const deep: unknown = JSON.parse(`${'{"items":'.repeat(100_000)}{}${'}'.repeat(100_000)}`);
  expect(() => asked({ guided_json: deep })).toThrow(
    expect.objectContaining({ code: 'STRUCTURE_TOO_COMPLEX' }),
  );
});

const parameter = (value: string) => ({ parameterChoice: { $case: 'stringParam', value } as const });
const inferred = (name: string, value: string) =>
  readInferParameters({ [name]: parameter(value) }).options.structure;

it('parameters that hold no objects have them as JSON text', () => {
  const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
  expect(inferred('response_format', JSON.stringify(format))).toEqual(json);
  expect(inferred('guided_json', json.source)).toEqual(json);
  expect(inferred('guided_choice', '["a"]')).toEqual({ kind: 'lark', source: 'start: "a"' });
  expect(inferred('guided_regex', 'a')).toEqual({ kind: 'regex', source: 'a' });
  expect(() => inferred('response_format', '{')).toThrow(/parameter response_format must be JSON/);
  expect(() => inferred('structured_outputs', '{"whitespace_pattern": "x"}')).toThrow(
    /parameter structured_outputs.whitespace_pattern is not supported/,
  );
});
