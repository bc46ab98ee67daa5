import type { CallFormat } from '../../../../src/runtime/engine/engine.ts';
import { type AnswerPart, AnswerReader } from '../../../../src/runtime/server/chat/answer-reader.ts';
import { formats } from '../../../../src/runtime/server/chat/formats.ts';
import { texts } from '../examples.ts';
import { words } from '../mutators/bytes.ts';
import { must, type Target, textOf } from '../target.ts';

const names = new Set(['f', 'get_weather']);

/** Parts of an answer, put together by their kind: texts as one, calls one by one. */
const told = (format: CallFormat, pieces: readonly string[]) => {
  const calls = () => formats[format].read(names);
  const reader = new AnswerReader({ id: 'r1', thinks: true, calls, most: 16 });
  const parts = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  const joined = (kind: Exclude<AnswerPart['kind'], 'call'>, index?: number): string =>
    parts
      .map((part) =>
        part.kind === kind && (part.kind !== 'arguments' || part.index === index) ? part.text : '',
      )
      .join('');
  return {
    content: joined('content'),
    reasoning: joined('reasoning'),
    calls: parts.flatMap((part) =>
      part.kind === 'call' ? [{ ...part, arguments: joined('arguments', part.index) }] : [],
    ),
    finish: reader.finish('stop'),
  };
};

const isObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};

/** Pieces of the lengths that its own characters say. */
const piecesOf = (text: string): readonly string[] => {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = 1 + (text.charCodeAt(at) % 7);
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
};

const marks = [
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<start_function_call>',
  '<end_function_call>',
  '<start_function_response>',
  '<escape>',
  'call:f{',
  '{"name": "f", "arguments": {',
  '"parameters": {',
];

const target = (format: CallFormat, ...examples: readonly string[]): Target => ({
  name: `calls-of-${format}`,
  reads: 'src/runtime/server/chat',
  examples: () => texts('Hi', '<think>\nhm\n</think>\n\nHi', ...examples),
  mutators: [words([...marks, ...Array.from('"\\{}[]:,;\n')])],
  codes: [],
  run: (bytes) => {
    const text = textOf(bytes);
    const whole = told(format, [text]);
    const streamed = told(format, piecesOf(text));
    must(JSON.stringify(streamed) === JSON.stringify(whole), 'another answer in a stream');
    const { calls, content, reasoning, finish } = whole;
    must(content.length + reasoning.length <= text.length, 'more text than the model wrote');
    for (const { name, arguments: written } of calls) {
      must(names.has(name), `a call of ${name}`);
      must(written.startsWith('{'), 'arguments are no object');
      // One of Gemma is written anew.
      must(format === 'gemma' ? isObject(written) : text.includes(written), 'arguments are not as written');
      must(!isObject(written.slice(0, -1)), 'arguments go on behind their end');
    }
    const last = calls.at(-1);
    must(finish === 'tool_calls' || last === undefined || !isObject(last.arguments), 'a whole call is cut');
    return `${calls.length} ${reasoning === '' ? '' : 'thoughts'}`;
  },
});

/** What a model writes may be what a stranger put into its mouth. */
export const answerTargets: readonly Target[] = [
  target(
    'hermes',
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": [1, 2.5e3, null]}}\n</tool_call>',
    '<tool_call>{"name": "f", "arguments": {"a": \'x\'}}\n</tool_call><tool_call>{"name": "f", "arguments": {"a": "',
    'So:\n<tool_call>{"arguments": {}, "name": "f"}</tool_call>\n<tool_call>{"name": "f", "arguments": {"a": "\\"}"}}</tool_call>',
  ),
  target(
    'llama',
    '{"name": "get_weather", "parameters": {"city": "Oslo"}}; {"name": "f", "parameters": {"a": {"b": [true]}}}',
    '\n{"name": "f", "arguments": {}} so',
  ),
  target(
    'gemma',
    '<start_function_call>call:get_weather{city:<escape>Oslo<escape>,days:[1,2.5e3,null]}<end_function_call>',
    'So:<start_function_call>call:f{a:{<escape>b c<escape>:true}}<end_function_call><start_function_call>call:f{}<start_function_response>',
  ),
];
