import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CallFormat } from '../../engine/engine.ts';
import type { Piece } from './call-reader.ts';
import { formats } from './formats.ts';
import { type ToldCall, together } from './together.fixture.ts';

const names = new Set(['get_weather', 'now']);

const read = (format: CallFormat, parts: readonly string[]): readonly Piece[] => {
  const reader = formats[format].read(names);
  return [...parts.flatMap((part) => reader.push(part)), ...reader.end()];
};

const told = (format: CallFormat, parts: readonly string[]) => together(read(format, parts));

const calls = (all: readonly (string | ToldCall)[]): readonly ToldCall[] =>
  all.filter((one) => typeof one === 'object');

const isObject = (text: string): boolean => {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
};

/** Every way to cut it in two, and each character by itself. */
const cuts = (text: string): readonly (readonly string[])[] => [
  Array.from({ length: text.length }, (_, at) => text[at] ?? ''),
  ...Array.from({ length: text.length }, (_, at) => [text.slice(0, at), text.slice(at)]),
];

const oslo = { name: 'get_weather', arguments: '{"city": "Oslo"}' };
const now = { name: 'now', arguments: '{}' };
const cut = { name: 'now', open: true };
const deep = `{"a": ${'['.repeat(100)}${']'.repeat(100)}}`;

const hermes: readonly (readonly [string, string, readonly unknown[]])[] = [
  ['a text', 'It is warm.', ['It is warm.']],
  ['a call', '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>', [oslo]],
  [
    'a text and two calls',
    'Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n<tool_call>{"arguments": {}, "name": "now"}</tool_call>',
    ['Let me see.\n', oslo, '\n', now],
  ],
  ['a text after a call', '<tool_call>{"name": "now", "arguments": {}}</tool_call> Done.', [now, ' Done.']],
  [
    'marks within an argument',
    '<tool_call>{"name": "get_weather", "arguments": {"city": "</tool_call><tool_call>\\"}"}}</tool_call>',
    [{ name: 'get_weather', arguments: '{"city": "</tool_call><tool_call>\\"}"}' }],
  ],
  [
    'numbers that JavaScript cannot hold',
    '<tool_call>{"name": "now", "arguments": {"id": 12345678901234567890, "x": 1.10}}</tool_call>',
    [{ name: 'now', arguments: '{"id": 12345678901234567890, "x": 1.10}' }],
  ],
  ['an end without its mark', '<tool_call>{"name": "now", "arguments": {}}\n', [now]],
  ['an end within its mark', '<tool_call>{"name": "now", "arguments": {}}</tool', [now]],
  [
    'a call behind one that is none',
    '<tool_call>I would <tool_call>{"name": "now", "arguments": {}}</tool_call>',
    ['<tool_call>I would ', now],
  ],
  ['an end within arguments', '<tool_call>{"name": "now", "arguments": {', [{ ...cut, arguments: '{' }]],
  [
    'an end within a text',
    '<tool_call>{"name": "now", "arguments": {"a": "</tool_call>',
    [{ ...cut, arguments: '{"a": "</tool_call>' }],
  ],
  [
    'no JSON, up to the mark',
    `<tool_call>{"name": "now", "arguments": {"a": 'x'}}\n</tool_call> b`,
    [{ name: 'now', arguments: `{"a": 'x'}}\n` }, ' b'],
  ],
  [
    'no JSON, without an end',
    '<tool_call>{"name": "now", "arguments": {"a": 1,}} b </tool',
    [{ ...cut, arguments: '{"a": 1,}} b ' }],
  ],
  [
    'words, numbers and texts that are none of JSON',
    '<tool_call>{"name": "now", "arguments": {"a": 01, "b": None, "c": "\\x\n"}}</tool_call>',
    [{ name: 'now', arguments: '{"a": 01, "b": None, "c": "\\x\n"}' }],
  ],
  [
    'no JSON, up to the next call',
    '<tool_call>{"name": "now", "arguments": {"a": x y}}\n<tool_call>{"name": "now", "arguments": {}}</tool_call>',
    [{ name: 'now', arguments: '{"a": x y}}\n' }, now],
  ],
  [
    'a text without its end, up to the mark behind a line break',
    '<tool_call>{"name": "now", "arguments": {"a": "Oslo}}\n</tool_call>\nIt is "late".',
    [{ name: 'now', arguments: '{"a": "Oslo}}\n' }, '\nIt is "late".'],
  ],
  [
    'a text without its end, up to the next call',
    '<tool_call>{"name": "now", "arguments": {"a": ["Oslo]}}\n<tool_call>{"name": "now", "arguments": {}}',
    [{ name: 'now', arguments: '{"a": ["Oslo]}}\n' }, now],
  ],
  [
    'a text without its end behind arguments',
    '<tool_call>{"name": "now", "arguments": {}, "id": "a}\n</tool_call> b',
    [now, ' b'],
  ],
  [
    'a line break within a text, and almost a mark, or one in another text',
    '<tool_call>{"name": "now", "arguments": {"a": "\n<</tool> </tool_call", "b": "</tool_call>"}}</tool_call>',
    [{ name: 'now', arguments: '{"a": "\n<</tool> </tool_call", "b": "</tool_call>"}' }],
  ],
  ['no bracket at its end', '<tool_call>{"name": "now", "arguments": {}\n</tool_call>', [now]],
  [
    'a text before its mark',
    '<tool_call>{"name": "now", "arguments": {}} and more</tool_call>',
    [now, 'and more</tool_call>'],
  ],
  ['what is almost its mark', '<tool_call>{"name": "now", "arguments": {}}</tool> b', [now, '</tool> b']],
  [
    'more in the object',
    '<tool_call>{"id": "a", "name": "now", "x": {"name": "y"}, "arguments": {}, "name": "other", "arguments": [{}]}</tool_call>',
    [now],
  ],
  [
    'a name behind arguments',
    '<tool_call>{"arguments": {"a": [1]}, "name": "now"',
    [{ name: 'now', arguments: '{"a": [1]}' }],
  ],
  ['a name in other letters', '<tool_call>{"name": "n\\u006fw", "arguments": {}}</tool_call>', [now]],
  [
    'more levels than a request may have',
    `<tool_call>{"name": "now", "arguments": ${deep}}</tool_call>`,
    [{ name: 'now', arguments: deep }],
  ],
  ...[
    '<tool_call>',
    '<tool_cal',
    '<tool_call>{"name": "now", "arguments": ',
    '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "now"}</tool_call>',
    '<tool_call>{"name": "now", "arguments": "{}"}</tool_call>',
    '<tool_call>{"name": "now", "arguments": [1]}</tool_call>',
    '<tool_call>{"name": ["now"], "arguments": {}}</tool_call>',
    '<tool_call>{"name": "no\\w", "arguments": {}}</tool_call>',
    '<tool_call>{"arguments": {}, "name": "other"}</tool_call>',
    '<tool_call>{"arguments": {"a": 1,}, "name": "now"}</tool_call>',
    '<tool_call>{"arguments": {"a": "\n</tool_call>"}, "name": "now"}',
    "<tool_call>{'name': 'now', 'arguments': {}}</tool_call>",
    '<tool_call>[{"name": "now", "arguments": {}}]</tool_call>',
    '{"name": "now", "arguments": {}}',
  ].map((text) => [text, text, [text]] as const),
];

const llama: typeof hermes = [
  ['a text', 'It is {"name": "now", "parameters": {}}', ['It is {"name": "now", "parameters": {}}']],
  ['a call', '{"name": "get_weather", "parameters": {"city": "Oslo"}}', [oslo]],
  ['a call by the other name', '\n{"name": "now", "arguments": {}}', [now]],
  [
    'two calls',
    '{"name": "get_weather", "parameters": {"city": "Oslo"}}; {"name": "now", "parameters": {}}\n',
    [oslo, now, '\n'],
  ],
  ['a text after a call', '{"name": "now", "parameters": {}} so', [now, ' so']],
  ['an end within arguments', '{"name": "now", "parameters": {"a', [{ ...cut, arguments: '{"a' }]],
  [
    'no JSON: all that follows',
    '{"name": "now", "parameters": {"a": \'x\'}}; {"name": "now", "parameters": {}}',
    [{ name: 'now', arguments: '{"a": \'x\'}}; {"name": "now", "parameters": {}}' }],
  ],
  [
    'a text without its end: all that follows',
    '{"name": "now", "parameters": {"a": "\n}}; </tool_call>',
    [{ ...cut, arguments: '{"a": "\n}}; </tool_call>' }],
  ],
  [
    'no bracket at its end',
    '{"name": "now", "parameters": {}; {"name": "now", "parameters": {}}',
    [now, now],
  ],
  ['both names of arguments', '{"name": "now", "parameters": {}, "arguments": {"a": 1}}', [now]],
  ['a name behind arguments', '{"parameters": {}, "name": "now"} so', [now, ' so']],
  ...[
    '{',
    '{"name": "now", "parameters": ',
    '{"name": "other", "parameters": {}}',
    '{"name": "now"}',
    '{"city": "Oslo"}; {"name": "now", "parameters": {}}',
    ' ; {"name": "now", "parameters": {}}',
    '[{"name": "now", "parameters": {}}]',
    ' \n',
  ].map((text) => [text, text, [text]] as const),
];

const call = (body: string): string => `<start_function_call>${body}<end_function_call>`;

const gemma: typeof hermes = [
  ['a call', call('call:get_weather{city:<escape>Oslo<escape>}'), [oslo]],
  [
    'calls beside each other',
    `${call('call:get_weather{city:<escape>Oslo<escape>}')}${call('call:now{}')}`,
    [oslo, now],
  ],
  [
    'values of all kinds',
    call(
      'call:now{a:1,b:-2.50,c:true,d:null,e:[<escape>x<escape>,[]],f:{<escape>g h<escape>:{i:false}}, j : <escape>"\n<escape>}',
    ),
    [
      {
        name: 'now',
        arguments:
          '{"a": 1, "b": -2.50, "c": true, "d": null, "e": ["x", []], "f": {"g h": {"i": false}}, "j": "\\"\\n"}',
      },
    ],
  ],
  [
    'marks within a text',
    call('call:now{a:<escape>}<end_function_call><start_function_call><escape>}'),
    [{ name: 'now', arguments: '{"a": "}<end_function_call><start_function_call>"}' }],
  ],
  ['what begins the answer of the tool', '<start_function_call>call:now{}<start_function_response>', [now]],
  ['an end without its mark', 'So:<start_function_call>call:now{}', ['So:', now]],
  [
    'a call behind one that is none',
    `<start_function_call>call:now{${call('call:now{}')}`,
    ['<start_function_call>call:now{', now],
  ],
  ...[
    '<start_function_call>',
    '<start_function_call>call:now{a:<escape>x',
    call('now{}'),
    call('call:other{}'),
    call('call:now{a}'),
    call('call:now{a:Oslo}'),
    call('call:now{a:1,}'),
    call('call:now{a:01}'),
    call('call:now{} and'),
    call(`call:now{a:${'['.repeat(64)}${']'.repeat(64)}}`),
    'call:now{}',
  ].map((text) => [text, text, [text]] as const),
];

describe.each([
  ['hermes', hermes],
  ['llama', llama],
  ['gemma', gemma],
] as const)('answers of the format %s', (format, answers) => {
  it.each(answers)('%s: is told the same, whole and at every cut', (_, text, expected) => {
    expect(told(format, [text])).toEqual(expected);
    for (const parts of cuts(text)) expect(told(format, parts)).toEqual(expected);
  });

  const marks = '<tool_call> </tool_call> <escape> call:now <start_function_call> <end_function_call>'.split(
    ' ',
  );
  const others = ['{', '"', '\\', '}', ';', '"name": "now"', ', ', '"arguments": {}', ':', 'x', '\n'];
  const fragments = [...answers.map(([, text]) => text), ...marks, ...others];
  const texts = fc.array(fc.constantFrom(...fragments), { maxLength: 12 }).map((all) => all.join(''));

  it('lose nothing, and are the same however they are cut', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(40)), (text, lengths) => {
        const pieces = read(format, [text]);
        const whole = together(pieces);
        expect(pieces.map((piece) => piece.text).join('')).toBe(text);
        const parts: string[] = [];
        let at = 0;
        for (const length of lengths) {
          parts.push(text.slice(at, at + length));
          at += length;
        }
        expect(told(format, [...parts, text.slice(at)])).toEqual(whole);
        for (const one of calls(whole)) {
          expect(names.has(one.name)).toBe(true);
          if (format !== 'gemma') expect(text).toContain(one.arguments);
          // What is cut or broken looks like no whole one, however much of it has come.
          if (one.open === true) expect(isObject(one.arguments)).toBe(false);
          for (let end = 0; end < one.arguments.length; end += 1)
            expect(isObject(one.arguments.slice(0, end))).toBe(false);
        }
      }),
    );
  });

  it('that are cut anywhere have the calls so far: what is one stays one', () => {
    for (const [, text] of answers) {
      let before: readonly ToldCall[] = [];
      for (let end = 0; end <= text.length; end += 1) {
        const pieces = read(format, Array.from(text.slice(0, end)));
        expect(pieces.map((piece) => piece.text).join('')).toBe(text.slice(0, end));
        expect(told(format, [text.slice(0, end)])).toEqual(together(pieces));
        // Those of Gemma are told once they are at their end.
        if (format === 'gemma') continue;
        const present = calls(together(pieces));
        expect(present.length).toBeGreaterThanOrEqual(before.length);
        for (const [index, { name, arguments: written }] of before.entries()) {
          expect(present[index]?.name).toBe(name);
          expect(present[index]?.arguments.startsWith(written)).toBe(true);
        }
        before = present;
      }
    }
  });
});

it.each([
  ['hermes', '<tool_call>{"'],
  ['hermes', '<tool_call>{"a": "'],
  ['hermes', '<tool_call>{"a": {"b": [1, "'],
  ['hermes', '<tool_call>'],
  ['hermes', '<tool_call>{"a": "\n'],
  ['llama', '{"a": '],
  ['llama', '{"'],
  ['gemma', '<start_function_call>call:now{a:<escape>'],
  ['gemma', '<start_function_call>call:now{a:[<escape>'],
  ['gemma', '<start_function_call>call:'],
] as const)('what %s makes no call of is read once, however often it comes: %s', (format, fragment) => {
  const text = fragment.repeat(20_000);
  expect(told(format, [text])).toEqual([text]);
  expect(
    told(
      format,
      Array.from({ length: 20_000 }, () => fragment),
    ),
  ).toEqual([text]);
});

it.each([
  ['hermes', '<tool_call>{', '"a": 1,'],
  ['llama', '{', '"a": 1,'],
  ['gemma', '<start_function_call>call:now{', 'a:1>,'],
] as const)('a call of %s that comes in many pieces is read once', (format, start, piece) => {
  const pieces = Array.from({ length: 200_000 }, () => piece);
  expect(told(format, [start, ...pieces])).toEqual([start + pieces.join('')]);
});

it.each([
  ['hermes', '<tool_call>{"name": "now", "arguments": {}} x'],
  ['hermes', '<tool_call>x'],
  ['hermes', '<tool_call>{"name": "other"'],
  ['hermes', '<tool_call>{"name": "now", "arguments": "'],
  ['hermes', '<tool_call>{"name": "now", "arguments": {"a": \'x'],
  ['llama', '{"name": "now"}'],
  ['llama', '{"name": "now", "parameters": {x'],
  ['llama', '{x'],
  ['gemma', '<start_function_call>call:now{} x'],
  ['gemma', '<start_function_call>call:now<x'],
  ['gemma', '<start_function_call>now'],
] as const)('what %s cannot make a call of any more is told at once: %s', (format, text) => {
  const pieces = formats[format].read(names).push(text);
  expect(pieces.map((piece) => piece.text).join('')).toBe(text);
});

it.each(['hermes', 'llama', 'gemma'] as const)(
  'a call of %s that has to come is read as it has to be written',
  (format) => {
    const { read: readForced, before, after, between } = formats[format].forced;
    const written = (name: string) => `${before(name)}{"city": "Oslo"}${after}`;
    const reader = readForced(names);
    const text = [written('get_weather'), written('now')].join(between);
    const pieces = [...Array.from(text).flatMap((one) => reader.push(one)), ...reader.end()];
    expect(calls(together(pieces))).toEqual([oslo, { name: 'now', arguments: '{"city": "Oslo"}' }]);
    expect(pieces.filter((piece) => piece.kind === 'arguments').length).toBeGreaterThan(20);
  },
);

it.each(['{x', '{"a": "\n'])('broken calls that begin each other are read once: %j', (broken) => {
  const text = `<tool_call>{"name": "now", "arguments": ${broken}`.repeat(20_000);
  const found = calls(told('hermes', [text]));
  expect(found).toHaveLength(20_000);
  expect(found[0]).toEqual({ name: 'now', arguments: broken });
});

const long = Array.from({ length: 10_000 }, (_, n) => `"k${n}": "x"`).join(', ');

it.each<[string, CallFormat, string, string]>([
  ['in JSON', 'hermes', `<tool_call>{"name": "now", "arguments": {${long}}}</tool_call>`, `{${long}}`],
  ['in JSON', 'llama', `{"name": "now", "parameters": {${long}}}`, `{${long}}`],
  ['that are broken', 'hermes', `<tool_call>{"name": "now", "arguments": {<${long}</tool_call>`, `{<${long}`],
  [
    'with a line break',
    'hermes',
    `<tool_call>{"name": "now", "arguments": {"a": "\n${'</tool_cal'.repeat(11_000)}\n</tool_call>`,
    `{"a": "\n${'</tool_cal'.repeat(11_000)}\n`,
  ],
  ['that are broken', 'llama', `{"name": "now", "parameters": {<${long}`, `{<${long}`],
  ['before the name', 'hermes', `<tool_call>{"arguments": {${long}}, "name": "now"}`, `{${long}}`],
])(
  'arguments %s of %s that have 100,000 characters come as they are written, each once',
  (_, format, text, expected) => {
    const parts = Array.from(text);
    const reader = formats[format].read(names);
    const pieces = [...parts.flatMap((part) => reader.push(part)), ...reader.end()];
    expect(expected.length).toBeGreaterThan(100_000);
    expect(together(pieces)).toEqual([{ name: 'now', arguments: expected }]);
    // No piece is told again: so the work grows with the length alone.
    expect(pieces.reduce((sum, piece) => sum + piece.text.length, 0)).toBe(text.length);
  },
);
