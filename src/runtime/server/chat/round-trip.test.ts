import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chatInfoOf } from '../../engine/model/chat-format.ts';
import { chatInputOf } from '../../engine/model/chat-input.ts';
import { openChatTemplate, readChatTemplates } from '../../engine/model/chat-template.ts';
import { openModelFolder } from '../../engine/model/folder.ts';
import { probeTools } from '../../engine/model/tool-probe.ts';
import { readChat } from '../http/bodies.ts';
import { readResponse } from '../http/response-body.ts';
import { askChat } from './ask-chat.ts';
import { askResponse } from './ask-response.ts';
import { formatOf } from './formats.ts';
import { refusedFamilies, servedFamilies } from './templates.fixture.ts';
import { type ToldCall as Call, together } from './together.fixture.ts';

const model = openModelFolder(
  join(import.meta.dirname, '../../../../test/fixtures/models/tiny/model/onnx-fp32'),
);
const parameters = { type: 'object', properties: { x: { type: 'string' } } };
const tools = ['f', 'get_weather'].map((name) => ({ type: 'function', function: { name, parameters } }));
const question = { role: 'user', content: 'How warm is it?' };

/** A base model with such a chat template. */
const opened = (template: unknown) => {
  const config = { chat_template: template } as Parameters<typeof openChatTemplate>[1];
  const render = openChatTemplate(model, config);
  const chat = chatInfoOf(readChatTemplates(model, config)?.withTools ?? '', probeTools(render));
  const rendered = ({ prompt }: ReturnType<typeof askChat>): string => {
    if (prompt.kind !== 'chat') throw new Error('not a chat');
    const { messages, ...more } = chatInputOf(prompt);
    return render(messages, true, more);
  };
  return {
    chat,
    promptOf: (more: object) => rendered(askChat(readChat({ model: 'm', ...more }), { chat })),
    promptOfResponse: (more: object) =>
      rendered(askResponse(readResponse({ model: 'm', ...more }), { chat }, () => undefined)),
    /** What the model itself would have made of its first turn. */
    readBack: (prompt: string): readonly Call[] => {
      const turn = prompt.split('<|assistant|>')[1]?.split('<|end|>')[0] ?? '';
      const reader = formatOf(chat)?.read(new Set(tools.map(({ function: { name } }) => name)));
      if (reader === undefined) throw new Error('no reader');
      return together([...reader.push(turn), ...reader.end()]).filter((one) => typeof one === 'object');
    },
  };
};

const called = (calls: readonly Call[], content: string | null = null) => ({
  role: 'assistant',
  content,
  tool_calls: calls.map((call, index) => ({ id: `c${index}`, type: 'function', function: call })),
});
const answered = (calls: readonly Call[]) =>
  calls.map((_, index) => ({ role: 'tool', tool_call_id: `c${index}`, content: '3 degrees' }));
const conversation = (calls: readonly Call[]) => [question, called(calls), ...answered(calls)];

/** Whole numbers that JavaScript rounds reach a prompt as texts. */
const number = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .filter((one) => !Number.isInteger(one) || Number.isSafeInteger(one));
const object = (key: fc.Arbitrary<string>, ...leaves: readonly fc.Arbitrary<unknown>[]) =>
  fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      ...leaves,
      fc.integer(),
      number,
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 3 }),
      tie('object'),
    ),
    object: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  })).object;
const anyText = fc.oneof(fc.string(), fc.constantFrom('</tool_call>', '<tool_call>{', '"}}', '\n', 'é 你'));
const anyObject = object(
  fc.string().filter((key) => key !== '__proto__'),
  anyText,
  fc.constant(null),
);
/** Keys without quotes, texts without its mark; it has no null, which the package writes as nothing. */
const gemmaObject = object(
  fc.stringMatching(/^[a-z]\w{0,5}$/),
  fc.string().filter((text) => !text.includes('<')),
);

/** Members in one order: FunctionGemma's template sorts them. */
const sorted = (text: string): string =>
  JSON.stringify(JSON.parse(text), (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );

describe.each(servedFamilies)('a chat template as of $family', ({ template, info }) => {
  const { chat, promptOf, promptOfResponse, readBack } = opened(template);

  it('is known by its words and by what it makes of a call', () => {
    expect(chat).toEqual(info);
  });

  it('has all tools in its prompt', () => {
    const prompt = promptOf({ messages: [question], tools });
    for (const { function: tool } of tools) expect(prompt).toContain(tool.name);
    expect(promptOf({ messages: [question], tools, tool_choice: 'none' })).not.toContain('get_weather');
  });

  it('writes calls of former turns so that they are read as the same calls, told of tools or not', () => {
    const args = info.calls === 'gemma' ? gemmaObject : anyObject;
    const call = fc.record({
      name: fc.constantFrom('f', 'get_weather'),
      arguments: args.map((value) => JSON.stringify(value)),
    });
    const calls = fc.array(call, { minLength: 1, maxLength: info.parallel ? 3 : 1 });
    const plain = (made: readonly Call[]) =>
      made.map((one) => ({ ...one, arguments: sorted(one.arguments) }));
    fc.assert(
      fc.property(calls, (made) => {
        for (const more of [{ tools }, { tools, tool_choice: 'none' }, {}])
          expect(plain(readBack(promptOf({ messages: conversation(made), ...more })))).toEqual(plain(made));
      }),
    );
  });

  it('has what a message with calls says, and what their tools answered', () => {
    const calls = [{ name: 'f', arguments: '{"x": "y"}' }];
    const messages = [question, called(calls, 'I look.'), ...answered(calls)];
    const prompt = promptOf({ messages, tools });
    expect(prompt).toMatch(/<\|assistant\|>I look\.[^|]*f[^|]*<\|end\|><\|tool\|>3 degrees<\|end\|>/);
  });

  it('has calls of responses as well', () => {
    const input = [
      { ...question, type: 'message' },
      { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{"x": "y"}' },
      { type: 'function_call_output', call_id: 'c1', output: '3 degrees' },
    ];
    const [call, ...more] = readBack(promptOfResponse({ input }));
    expect(more).toEqual([]);
    expect({ ...call, arguments: JSON.parse(call?.arguments ?? '') as unknown }).toEqual({
      name: 'f',
      arguments: { x: 'y' },
    });
  });
});

describe.each(refusedFamilies)('a chat template as of $family', ({ template, info }) => {
  const { chat, promptOf } = opened(template);

  it('is known, and tools are refused by their name', () => {
    expect(chat).toEqual(info);
    expect(() => promptOf({ messages: [question], tools })).toThrow(
      expect.objectContaining({ code: 'REQUEST_UNSUPPORTED', param: 'tools' }),
    );
  });

  it('loses no call of a former turn without saying so', () => {
    const messages = conversation([{ name: 'f', arguments: '{"x": "y"}' }]);
    if (info.calls === 'unknown' && info.dropsCalls === undefined)
      expect(promptOf({ messages })).toMatch(/<\|assistant\|>[^|]*f[^|]*y/);
    else
      expect(() => promptOf({ messages })).toThrow(
        expect.objectContaining({ code: 'REQUEST_UNSUPPORTED', param: 'messages.1.tool_calls' }),
      );
  });
});

const openedFamily = (name: string) =>
  opened(servedFamilies.find(({ family }) => family.startsWith(name))?.template);

it('parameters without a type reach FunctionGemma as Python has them', () => {
  const properties = { b: { type: 'string' }, a: { anyOf: [{ type: 'string' }] } };
  const tool = { type: 'function', function: { name: 'g', parameters: { type: 'object', properties } } };
  const prompt = openedFamily('FunctionGemma').promptOf({ messages: [question], tools: [tool] });
  expect(prompt).toMatch(/^<start_function_declaration>g a: b:STRING</);
});

it('parameters of all kinds are described as Python does it, in the macro of Hermes', () => {
  const { promptOf } = openedFamily('Hermes');
  const properties = {
    a: { type: 'string', description: ' A text ' },
    b: { type: 'array', items: { type: 'string' } },
    c: { type: ['string', 'integer'] },
    d: { anyOf: [{ type: 'string' }, { type: 'integer' }] },
    e: { type: 'object', additionalProperties: false },
    f: { type: 'object', additionalProperties: { type: 'integer' } },
  };
  const of = (name: string, more?: object) => ({ type: 'function', function: { name, parameters: more } });
  const prompt = promptOf({
    messages: [question],
    tools: [of('g', { type: 'object', properties }), of('h', { type: 'object' }), of('i')],
  });
  // What Jinja 3.1 of Python makes of it.
  expect(prompt.split('<|system|>')[1]?.split('<tool_call>')[0]).toBe(
    'g(a: str, b: list[Union[]], c: Union[str,int], d: Union[], e: dict[str, Union[]], f: dict[str, int])' +
      ' a(str): A text b(list[Union[]]):  c(Union[str,int]):  d(Union[]):  e(dict[str, Union[]]):  f(dict[str, int]): \n' +
      'h() {}\ni() {}\n',
  );
});
