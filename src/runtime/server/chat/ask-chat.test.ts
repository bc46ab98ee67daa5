import { describe, expect, it } from 'vitest';
import type { CallsSource, ChatInfo } from '../../engine/engine.ts';
import { checkStructure } from '../../engine/structure/check-structure.ts';
import { readChat } from '../http/bodies.ts';
import { weather } from '../testing/weather.ts';
import { askChat } from './ask-chat.ts';

const hermes: ChatInfo = { calls: 'hermes', parallel: true, thinks: false };
const city = weather.parameters;
const weatherTool = { type: 'function', function: { ...weather, strict: true } };
const now = { type: 'function', function: { name: 'now' } };
const question = { role: 'user', content: 'x' };

const bodyOf = (more: object) => readChat({ model: 'sql', messages: [question], ...more });
const ask = (more: object, chat: ChatInfo = hermes) => askChat(bodyOf(more), { chat });

const callsOf = (more: object, chat?: ChatInfo): CallsSource => {
  const { structure } = ask({ tools: [weatherTool, now], ...more }, chat).options;
  expect(structure?.kind).toBe('calls');
  return JSON.parse(structure?.source ?? '') as CallsSource;
};

describe('tools', () => {
  it('reach the chat template as OpenAI has them, and the model chooses', () => {
    const { prompt, options, form } = ask({ tools: [weatherTool, now], tool_choice: 'auto' });
    expect(prompt).toMatchObject({
      kind: 'chat',
      tools: JSON.stringify([
        { type: 'function', function: weather },
        {
          type: 'function',
          function: { name: 'now', description: '', parameters: { type: 'object', properties: {} } },
        },
      ]),
    });
    expect(options).toMatchObject({ marked: true, structure: undefined });
    expect(form).toMatchObject({ thinks: false, most: 16 });
  });

  it.each([{}, { tools: [] }, { tools: null }, { tools: [weatherTool], tool_choice: 'none' }])(
    'are not told of: %j',
    (more) => {
      const { prompt, form } = ask(more);
      expect(prompt).not.toHaveProperty('tools');
      expect(form).toEqual({ thinks: false });
    },
  );

  it('that have to be called say what the answer has to be', () => {
    expect(callsOf({ tool_choice: 'required' })).toEqual({
      calls: [
        {
          name: 'get_weather',
          before: '<tool_call>\n{"name": "get_weather", "arguments": ',
          schema: { ...city, additionalProperties: false },
          after: '}\n</tool_call>',
        },
        {
          name: 'now',
          before: '<tool_call>\n{"name": "now", "arguments": ',
          schema: { type: 'object', properties: {}, additionalProperties: false },
          after: '}\n</tool_call>',
        },
      ],
      between: '\n',
      most: 16,
    });
    expect(ask({ tools: [weatherTool], tool_choice: 'required' }).options.marked).toBe(false);
  });

  it('one that is named is the only one', () => {
    const choice = { type: 'function', function: { name: 'now' } };
    expect(callsOf({ tool_choice: choice }).calls.map(({ name }) => name)).toEqual(['now']);
  });

  describe('beside a schema of the answer', () => {
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: city } };

    it.each(['hermes', 'llama'] as const)('are called, or the answer is valid by it: %s', (calls) => {
      const chat = { ...hermes, calls, thinks: true };
      const source = callsOf({ response_format }, chat);
      const { orJson, ...alone } = source;
      expect(orJson).toEqual(city);
      expect(alone).toEqual(callsOf({ tool_choice: 'required' }, chat));
      expect(ask({ tools: [now], response_format }, chat)).toMatchObject({
        options: { marked: false },
        form: { thinks: false, calls: expect.any(Function) as unknown },
      });
    });

    it('the schema counts once towards the size of the structure, however many quotes it has', () => {
      const schema = { enum: Array.from({ length: 30_000 }, () => '') };
      const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
      const { structure } = ask({ tools: [now], response_format: format }).options;
      const more = (structure?.source.length ?? 0) - JSON.stringify(schema).length;
      expect(more).toBeGreaterThan(0);
      expect(more).toBeLessThan(1000);
      expect(() => checkStructure(structure!)).not.toThrow();
    });

    it.each([
      ['is no JSON', '{', 'STRUCTURE_UNSUPPORTED'],
      ['nests too deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'STRUCTURE_TOO_COMPLEX'],
    ])('a schema that %s is refused', (_, json, code) => {
      expect(() => ask({ tools: [now], structured_outputs: { json } })).toThrow(
        expect.objectContaining({ code }),
      );
    });

    it('are called alone where they have to be', () => {
      expect(callsOf({ response_format, tool_choice: 'required' })).not.toHaveProperty('orJson');
    });

    it('are not told of with the choice of none, and the schema is kept to', () => {
      const { options, form } = ask({ tools: [now], tool_choice: 'none', response_format });
      expect(options.structure).toEqual({ kind: 'json', source: JSON.stringify(city) });
      expect(form).not.toHaveProperty('calls');
    });
  });

  it.each<[string, object, ChatInfo]>([
    ['the request', { parallel_tool_calls: false }, hermes],
    ['the chat template', {}, { ...hermes, parallel: false }],
  ])('are called once in an answer where %s says so', (_, more, chat) => {
    expect(callsOf({ tool_choice: 'required', ...more }, chat).most).toBe(1);
    expect(ask({ tools: [now], ...more }, chat).form.most).toBe(1);
  });

  it.each([
    [
      { ...city, additionalProperties: true },
      { ...city, additionalProperties: true },
    ],
    [{ properties: {} }, { type: 'object', properties: {}, additionalProperties: false }],
    [{}, { type: 'object' }],
    [
      { anyOf: [city], properties: {} },
      { type: 'object', anyOf: [city], properties: {} },
    ],
  ])('have arguments of their names alone, unless they say more: %j', (parameters, schema) => {
    const tools = [{ type: 'function', function: { name: 'f', parameters } }];
    expect(callsOf({ tools, tool_choice: 'required' }).calls[0]?.schema).toEqual(schema);
  });
});

const deep = JSON.parse(`${'{"items":'.repeat(65)}{}${'}'.repeat(65)}`) as object;
const named = (name: string) => ({ type: 'function', function: { name } });

it.each<[string, object, ChatInfo | undefined, string, RegExp]>([
  ['tools without a chat template', { tools: [now] }, undefined, 'tools', /takes no tools/],
  ['tools that no template takes', { tools: [now] }, { ...hermes, calls: 'none' }, 'tools', /takes no tools/],
  ['tools of an unknown format', { tools: [now] }, { ...hermes, calls: 'unknown' }, 'tools', /is not known/],
  ['a call without tools', { tool_choice: 'required' }, hermes, 'tool_choice', /there are no tools/],
  [
    'a call of no tool',
    { tools: [now], tool_choice: named('later') },
    hermes,
    'tool_choice.function.name',
    /"later", which is none/,
  ],
  ['an unknown choice', { tools: [now], tool_choice: 'any' }, hermes, 'tool_choice', /none, auto, required/],
  [
    'a choice among tools',
    { tools: [now], tool_choice: { type: 'allowed_tools', allowed_tools: {} } },
    hermes,
    'tool_choice.allowed_tools',
    /not supported/,
  ],
  [
    'a tool of another type',
    { tools: [{ type: 'custom', custom: {} }] },
    hermes,
    'tools.0.custom',
    /functions/,
  ],
  [
    'a tool without a name',
    { tools: [{ type: 'function', function: {} }] },
    hermes,
    'tools.0.function.name',
    /./,
  ],
  ['a name with a quote', { tools: [named('a"b')] }, hermes, 'tools.0.function.name', /letters/],
  ['a name twice', { tools: [now, now] }, hermes, 'tools.1.function.name', /before it/],
  ['too many', { tools: Array.from({ length: 129 }, (_, n) => named(`f${n}`)) }, hermes, 'tools', /128/],
  [
    'arguments that are no object',
    { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'array' } } }] },
    hermes,
    'tools.0.function.parameters',
    /an object/,
  ],
  [
    'arguments that nest too deep',
    { tools: [{ type: 'function', function: { name: 'f', parameters: deep } }] },
    hermes,
    'tools.0.function.parameters',
    /deeper than 64/,
  ],
  [
    'tools beside a regular expression',
    { tools: [now], guided_regex: 'a' },
    hermes,
    'tools',
    /beside no other structure. Give a schema/,
  ],
  [
    'tools beside a schema, of a model that writes calls in no JSON',
    { tools: [now], response_format: { type: 'json_object' } },
    { ...hermes, calls: 'gemma' },
    'tools',
    /that no grammar here has. Leave the schema out/,
  ],
  ['functions of old', { functions: [{ name: 'f' }] }, hermes, 'functions', /tools took its place/],
])('%s: refused by its name', (_, more, chat, param, message) => {
  expect(() => askChat(bodyOf(more), chat === undefined ? {} : { chat })).toThrow(
    expect.objectContaining({ param, message: expect.stringMatching(message) }),
  );
});

describe('a conversation', () => {
  const called = {
    role: 'assistant',
    content: null,
    reasoning_content: 'hm',
    tool_calls: [
      { id: 'c1', type: 'function', function: { name: 'get_weather', arguments: '{"city": "Oslo"}' } },
      { id: 'c2', type: 'function', function: { name: 'now', arguments: '' } },
    ],
  };
  const answered = { role: 'tool', tool_call_id: 'c2', content: [{ type: 'text', text: '12:00' }] };

  it('has calls and what tools answered', () => {
    expect(ask({ messages: [question, called, answered] }).prompt).toMatchObject({
      messages: [
        { role: 'user', content: 'x' },
        {
          role: 'assistant',
          content: '',
          reasoning: 'hm',
          calls: [
            { id: 'c1', name: 'get_weather', arguments: '{"city": "Oslo"}' },
            { id: 'c2', name: 'now', arguments: '{}' },
          ],
        },
        { role: 'tool', content: '12:00', answers: { id: 'c2', name: 'now' } },
      ],
    });
  });

  it('has the names of speakers', () => {
    const messages = ['system', 'developer', 'user', 'assistant'].map((role) => ({
      role,
      content: 'x',
      name: 'anna',
    }));
    const told = ['system', 'system', 'user', 'assistant'].map((role) => ({
      role,
      content: 'x',
      name: 'anna',
    }));
    expect(ask({ messages }).prompt).toMatchObject({ messages: told });
    expect(ask({ messages: [{ ...question, name: null }] }).prompt).not.toHaveProperty('messages.0.name');
  });

  it.each([
    { reasoning: 'hm' },
    { reasoning_content: 'hm' },
    { reasoning: 'hm', reasoning_content: 'hm' },
    { reasoning: 'hm', reasoning_content: null },
  ])('may have thoughts by either of their names: %j', (thoughts) => {
    const message = { role: 'assistant', content: 'x', ...thoughts };
    expect(ask({ messages: [message] }).prompt).toMatchObject({
      messages: [{ content: 'x', reasoning: 'hm' }],
    });
  });

  it.each(['now', null])('may name the tool that answers: %s', (name) => {
    expect(ask({ messages: [called, { ...answered, name }] }).prompt).toMatchObject({
      messages: [{}, { answers: { id: 'c2', name: 'now' } }],
    });
  });

  const madeBy = (text: string) => ({
    ...called,
    tool_calls: [{ id: 'c1', function: { name: 'now', arguments: text } }],
  });

  it('has no more objects and lists in arguments than a body may have', () => {
    const one = madeBy(`{"a":[${'[],'.repeat(60_000)}1]}`);
    expect(() => ask({ messages: [one] })).not.toThrow();
    const param = 'messages.1.tool_calls.0.function.arguments';
    const message = expect.stringMatching(/arguments has more than 100000 objects and lists/);
    expect(() => ask({ messages: [one, one] })).toThrow(expect.objectContaining({ param, message }));
  });

  it.each([
    ['that are cut', '{"a": "', '{"a": "}'],
    ['with the bracket that ends the call', '{"a": \'x\'}}\n', '{"a": \'x\'}}'],
    ['with that bracket in a text without an end', '{"a": "x}}\n', '{"a": "x}}'],
    ['without that bracket', '{"a": {"b": None}}', '{"a": {"b": None}}}'],
    ['that nest deep', JSON.stringify(deep), `${JSON.stringify(deep)}}`],
    ['that nest deeper than a body may', '{"a": '.repeat(300), `${'{"a": '.repeat(300)}}`],
  ])(
    'may have arguments that no template can write, as answers have, and they are said in the text: those %s',
    (_, text, written) => {
      const messages = [
        { ...madeBy(text), content: 'So:' },
        { ...answered, tool_call_id: 'c1' },
      ];
      const content = `So:\n<tool_call>\n{"name": "now", "arguments": ${written}\n</tool_call>`;
      expect(ask({ messages }).prompt).toMatchObject({
        messages: [
          { role: 'assistant', content },
          { role: 'tool', answers: { id: 'c1', name: 'now' } },
        ],
      });
      expect(ask({ messages }).prompt).not.toHaveProperty('messages.0.calls');
      expect(() => ask({ messages }, { ...hermes, calls: 'unknown' })).toThrow(
        expect.objectContaining({ param: 'messages.0.tool_calls.0.function.arguments' }),
      );
    },
  );

  it.each<[string, readonly object[], string, RegExp]>([
    ['an answer of no call', [question, answered], '1.tool_call_id', /no call before it/],
    ['an answer before its call', [answered, called], '0.tool_call_id', /no call before it/],
    ['an answer without an id', [called, { ...answered, tool_call_id: null }], '1.tool_call_id', /the id/],
    ['an answer of another tool', [called, { ...answered, name: 'x' }], '1.name', /is not now/],
    ['an id of a user', [called, { ...question, tool_call_id: 'c1' }], '1.tool_call_id', /belongs to a tool/],
    ['calls of a user', [{ ...called, role: 'user' }], '0.tool_calls', /belongs to an assistant/],
    ['thoughts of a user', [{ ...question, reasoning_content: 'x' }], '0.reasoning_content', /an assistant/],
    [
      'thoughts of a user by their other name',
      [{ ...question, reasoning: 'x' }],
      '0.reasoning',
      /an assistant/,
    ],
    [
      'thoughts of two kinds',
      [{ ...called, reasoning: 'x' }],
      '0.reasoning',
      /is not what reasoning_content/,
    ],
    ['a message without content', [{ role: 'user' }], '0.content', /a string/],
    ['an assistant without content', [{ role: 'assistant', content: null }], '0.content', /a string/],
    ['arguments that are a list', [madeBy('[]')], '0.tool_calls.0.function.arguments', /JSON object/],
  ])('%s: refused by its place', (_, messages, at, message) => {
    expect(() => ask({ messages })).toThrow(
      expect.objectContaining({ param: `messages.${at}`, message: expect.stringMatching(message) }),
    );
  });

  it.each([
    ['0.tool_calls', [called]],
    ['0.role', [{ ...answered, tool_call_id: 'c1' }]],
  ])('with calls is refused where the chat template knows none: messages.%s', (at, messages) => {
    expect(() => ask({ messages }, { ...hermes, calls: 'none' })).toThrow(
      expect.objectContaining({ code: 'REQUEST_UNSUPPORTED', param: `messages.${at}` }),
    );
  });
});

describe('thoughts', () => {
  const thinking: ChatInfo = { ...hermes, thinks: true };

  it('are told apart where the chat template knows them', () => {
    expect(ask({}, thinking)).toMatchObject({ options: { marked: true }, form: { thinks: true } });
    expect(ask({})).toMatchObject({ options: { marked: false }, form: { thinks: false } });
  });

  it('come in no answer whose structure is said', () => {
    expect(ask({ guided_regex: 'a' }, thinking)).toMatchObject({
      options: { marked: false },
      form: { thinks: false },
    });
  });
});
