import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Prompt } from '../engine.ts';
import { openModelFolder } from './folder.ts';
import { openTextCodec, type TextCodec } from './tokenizer.ts';

const tiny = openModelFolder(
  join(import.meta.dirname, '../../../../test/fixtures/models/tiny/model/onnx-fp32'),
);
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** The tiny model with another chat template. */
const codecWith = (template: unknown): TextCodec => {
  const folder = mkdtempSync(join(tmpdir(), 'adaptlet-chat-template-'));
  folders.push(folder);
  const tokenizerConfig = join(folder, 'tokenizer_config.json');
  const config = JSON.parse(readFileSync(tiny.tokenizerConfig, 'utf8')) as object;
  writeFileSync(tokenizerConfig, JSON.stringify({ ...config, chat_template: template }));
  return openTextCodec({ ...tiny, tokenizerConfig }, 259);
};

/** Tokens are bytes, but for three special ones: the prompt as text, with how many of these it has. */
const promptOf = (codec: TextCodec, prompt: Omit<Extract<Prompt, { kind: 'chat' }>, 'kind'>) => {
  const ids = codec.encode({ kind: 'chat', ...prompt });
  return {
    text: codec.decode(ids),
    specials: ids.filter((id) => codec.describe(id).bytes === undefined).length,
  };
};

const user = { role: 'user', content: 'x' };
const tools = JSON.stringify([{ type: 'function', function: { name: 'f', description: 'Of <|im_end|>' } }]);

describe('a chat template', () => {
  const codec = codecWith(
    '{% for m in messages %}{{ m.role }}:{{ m.content }}' +
      '{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}' +
      '{% if m.tool_calls %}{% for c in m.tool_calls %}[{{ c.id }} {{ c.function.name }} {{ c.function.arguments.a }}]{% endfor %}{% endif %}' +
      '{% if m.tool_call_id %}<{{ m.tool_call_id }} {{ m.name }}>{% endif %};{% endfor %}' +
      '{% if tools %}{{ tools | tojson }}{% endif %}{{ mood }}',
  );

  it('gets calls, their answers and thoughts as transformers gives them', () => {
    const calls = [{ id: 'c1', name: 'f', arguments: '{"a": "b"}' }];
    const messages = [
      user,
      { role: 'assistant', content: '', reasoning: 'hm', calls },
      { role: 'tool', content: '3', answers: { id: 'c1', name: 'f' } },
    ];
    expect(promptOf(codec, { messages })).toEqual({
      text: 'user:x;assistant:(hm)[c1 f b];tool:3<c1 f>;',
      specials: 0,
    });
  });

  it('gets the names of speakers, in which special tokens are text; one that does not read them ignores them', () => {
    const messages = [{ ...user, name: 'anna<|im_end|>' }];
    const named = codecWith('{% for m in messages %}{{ m.role }} {{ m.name }}:{{ m.content }};{% endfor %}');
    expect(promptOf(named, { messages })).toEqual({ text: 'user anna<|im_end|>:x;', specials: 0 });
    expect(promptOf(codec, { messages })).toEqual({ text: 'user:x;', specials: 0 });
  });

  it('gets tools; special tokens that they spell out are text', () => {
    expect(promptOf(codec, { messages: [user], tools })).toEqual({
      text: 'user:x;[{"type": "function", "function": {"name": "f", "description": "Of <|im_end|>"}}]',
      specials: 0,
    });
  });

  it('gets arguments in which special tokens are text, however they are written', () => {
    const calls = [{ id: 'c1', name: 'f', arguments: '{"a": "\\u003c|im_end|>"}' }];
    const messages = [user, { role: 'assistant', content: '', calls }];
    expect(promptOf(codec, { messages })).toMatchObject({ specials: 0 });
  });

  it('gets variables that it names', () => {
    expect(promptOf(codec, { messages: [user], values: { mood: '<|im_end|>' } })).toEqual({
      text: 'user:x;<|im_end|>',
      specials: 0,
    });
  });

  it.each([
    ['moody', /"moody": the chat template of the base model has no such variable/],
    ['messages', /"messages": it is given already/],
    ['bos_token', /"bos_token": it is given already/],
    ['m.*', /no such variable/],
    ['__proto__', /no such variable/],
  ])('refuses the variable %s', (name, message) => {
    const values = JSON.parse(`{${JSON.stringify(name)}: 1}`) as Record<string, number>;
    expect(() => promptOf(codec, { messages: [user], values })).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

it('of two templates the one for tools is taken where there are tools', () => {
  const codec = codecWith([
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'with {{ tools[0].function.name }} <tool_call>' },
  ]);
  expect(codec.chat).toEqual({ calls: 'hermes', parallel: true, thinks: false, dropsCalls: 'always' });
  expect(promptOf(codec, { messages: [user] }).text).toBe('plain');
  expect(promptOf(codec, { messages: [user], tools }).text).toBe('with f <tool_call>');
});

/** As SmolLM3's, in short. */
const xml =
  '{%- if xml_tools -%}<tools>{%- for t in xml_tools[:] -%}{{ (t | string) }}{%- endfor -%}</tools><tool_call>{%- endif -%}';

it.each([
  ['by another name', xml, 'hermes'],
  ['in prose alone', 'You have <tools></tools>, write <tool_call>', 'none'],
  ['as a number', '{{ tools | length }}<tool_call>', 'none'],
  ['and refuses them', "{% if tools %}{{ raise_exception('no tools') }}{% endif %}<tool_call>", 'none'],
])('a template that has tools %s', (_, template, calls) => {
  expect(codecWith(template).chat?.calls).toBe(calls);
});

it('tools reach a template that calls them otherwise', () => {
  expect(promptOf(codecWith(xml), { messages: [user], tools }).text).toContain('"name":"f"');
});

it('a prompt that opens a block of thoughts says so, if its template knows such blocks', () => {
  const messages = [user];
  const opened = (template: string): string => {
    const codec = codecWith(template);
    return codec.opened(codec.encode({ kind: 'chat', messages }));
  };
  const template = "a{{ '<think>\\n' }}";
  expect(opened(`{% if '</think>' in messages[0].content %}{% endif %}${template}`)).toBe('<think>\n');
  expect(opened(template)).toBe('');
});

it('a model without a template has no chat', () => {
  expect(codecWith(null).chat).toBeUndefined();
});
