import { describe, expect, it } from 'vitest';
import { checkSchema } from './check-schema.ts';

const refusal = (schema: unknown): unknown => {
  try {
    checkSchema(schema);
  } catch (error) {
    return error;
  }
  return undefined;
};
const deep = (levels: number): object => (levels === 0 ? {} : { items: deep(levels - 1) });
const wide = (count: number): object => ({ anyOf: Array.from({ length: count }, () => ({ type: 'null' })) });

describe('a schema with a keyword that would not be enforced is refused by its name and place', () => {
  it.each([
    [
      'uniqueItems',
      { properties: { tags: { uniqueItems: true } } },
      '#/properties/tags: the keyword uniqueItems',
    ],
    ['if', JSON.parse('{"if":{},"then":{}}'), '#: the keyword if'],
    ['not', { items: { not: {} } }, '#/items: the keyword not'],
    ['contains', { contains: {} }, 'the keyword contains'],
    ['dependentRequired', { dependentRequired: {} }, 'the keyword dependentRequired'],
    ['unevaluatedProperties', { unevaluatedProperties: false }, 'the keyword unevaluatedProperties'],
    [
      'a misspelt one',
      { requird: ['a'] },
      'the keyword requird is not supported; the nearest one that is, is required',
    ],
    ['options of llguidance', { 'x-guidance': { lenient: true } }, 'the keyword x-guidance'],
    ['inherited names', JSON.parse('{"constructor": {}}'), 'the keyword constructor'],
    ['a strange name', { '\u0000\n': 1 }, 'the keyword'],
    ['$id below the root', { items: { $id: 'x' } }, '#/items: the keyword $id'],
    ['another dialect', { $schema: 'http://json-schema.org/draft-03/schema#' }, '$schema is not known'],
    ['a remote reference', { $ref: 'https://example.com/a.json' }, '#/$ref: references other than'],
    ['an anchor', { $ref: '#node' }, '#/$ref: references other than'],
    ['an escaped reference', { $ref: '#/$defs/a~1b', $defs: { 'a/b': {} } }, '#/$ref: references other than'],
    ['a reference to nothing', { $ref: '#/$defs/a' }, '#/$ref: there is no such schema'],
    ['a reference to an inherited member', { $ref: '#/constructor' }, '#/$ref: there is no such schema'],
    [
      'what only a reference leads to',
      { $ref: '#/default/x', default: { x: { not: {} } } },
      '#/default/x: the keyword not',
    ],
    [
      'items that additionalItems would hide',
      { prefixItems: [{}], additionalItems: {} },
      'additionalItems beside',
    ],
    ['names that count twice', { minProperties: 2, required: ['a'] }, 'minProperties above'],
    ['a number that is another one', { enum: [2 ** 53 + 2] }, '9007199254740994 cannot be told'],
    ['a control character', { const: ['a\u0000'] }, '#/const: control characters'],
    ['one in a name', { properties: { 'a\u0007': {} } }, '#/properties: control characters'],
    ['one in a pattern', { pattern: 'a\\x00b' }, '#/pattern: patterns with control characters'],
    ['one in another way', { patternProperties: { 'a\\u{1b}': {} } }, 'patterns with control characters'],
    ['no schema', { properties: { a: 1 } }, '#/properties/a is neither'],
    ['no list', { anyOf: {} }, '#/anyOf is no list'],
  ])('%s', (_, schema, message) => {
    expect(refusal(schema)).toMatchObject({
      code: 'STRUCTURE_UNSUPPORTED',
      message: expect.stringContaining(message),
    });
  });
});

it.each([
  ['nesting', deep(70)],
  ['alternatives', wide(10_001)],
  ['values', { const: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) }],
])('too much of it is refused: %s', (_, schema) => {
  expect(refusal(schema)).toMatchObject({ code: 'STRUCTURE_TOO_COMPLEX' });
});

it.each([
  ['nothing', {}],
  ['everything', true],
  [
    'what pydantic and zod write',
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'Order',
      type: 'object',
      $defs: { City: { enum: ['Oslo', 'Lima'], title: 'City', type: 'string' } },
      properties: {
        city: { $ref: '#/$defs/City' },
        note: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null, description: 'x' },
        items: { type: 'array', items: { type: 'integer', minimum: 1 }, minItems: 1 },
      },
      required: ['city', 'note', 'items'],
      additionalProperties: false,
    },
  ],
  ['itself', { properties: { child: { $ref: '#' } } }],
  ['names that are keywords', { properties: { not: {}, uniqueItems: {}, $ref: { type: 'string' } } }],
  ['characters that have a short form', { const: 'a\n\t', pattern: '\\\\x00 [^\\n]\\d' }],
  ['values that look like schemas', { const: { not: 1 }, default: { not: 1 }, enum: [{ if: 1 }] }],
])('what is enforced is taken: %s', (_, schema) => {
  expect(refusal(schema)).toBeUndefined();
});
