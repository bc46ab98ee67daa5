import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import type { CallFormat } from '../../engine/engine.ts';
import { AnswerReader } from '../chat/answer-reader.ts';
import { formats } from '../chat/formats.ts';
import { type Chunk, putTogether } from '../testing/put-together.ts';
import { weather, weatherCall } from '../testing/weather.ts';
import { ResponseOutput } from './response-output.ts';
import { chatShape, type Head, usageOf } from './shapes.ts';

const forced = (format: CallFormat): string => {
  const { before, after, between } = formats[format].forced;
  return ['Oslo', 'Rome']
    .map((city) => before(weather.name) + JSON.stringify({ city }) + after)
    .join(between);
};

const answers: readonly (readonly [name: string, format: CallFormat, text: string, isForced: boolean])[] = [
  [
    'hermes',
    'hermes',
    `<think>Where?</think>I look.\n${weatherCall('Oslo')}\n${weatherCall('Rome')}\nb`,
    false,
  ],
  [
    'hermes, broken',
    'hermes',
    `${weatherCall('Oslo').replace('"city"', "'city'")}\n${weatherCall('Rome')}`,
    false,
  ],
  [
    'hermes, backwards',
    'hermes',
    '<tool_call>{"arguments": {"city": "Oslo"}, "name": "get_weather"}</tool_call>',
    false,
  ],
  ['hermes, forced', 'hermes', forced('hermes'), true],
  [
    'llama',
    'llama',
    '{"name": "get_weather", "parameters": {"city": "Oslo"}}; {"name": "get_weather", "parameters": {',
    false,
  ],
  ['llama, broken', 'llama', '{"name": "get_weather", "parameters": {"city": Oslo}} so', false],
  ['llama, forced', 'llama', forced('llama'), true],
  [
    'gemma',
    'gemma',
    '<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call> so',
    false,
  ],
  ['gemma, forced', 'gemma', forced('gemma'), true],
];

const readerOf = (format: CallFormat, isForced: boolean): AnswerReader => {
  const read = isForced ? formats[format].forced.read : formats[format].read;
  return new AnswerReader({
    id: 'r1',
    thinks: !isForced,
    calls: () => read(new Set([weather.name])),
    most: 16,
  });
};

/** All that an answer may be whose tokens are single characters. */
const cutsOf = (text: string): readonly string[] => Array.from(text, (_, at) => text.slice(0, at + 1));

const head: Head = {
  id: 'r1',
  created: 0,
  model: 'tiny',
  served: { adapter: '', digest: '' as Digest, rollout: '', arm: '', rule: '' },
};

type Item = {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly arguments: string;
};

describe.each(answers)('an answer of %s, cut at any character', (_, format, text, isForced) => {
  it('is in a chat the same whole and streamed', () => {
    for (const cut of cutsOf(text)) {
      const whole = readerOf(format, isForced);
      const parts = [...whole.push(cut), ...whole.end()];
      const finish = whole.finish('length');
      const usage = usageOf({ promptTokens: 1, completionTokens: 1 });
      const answer = chatShape.whole(head, [{ parts, finish, scored: undefined }], usage);
      const reader = readerOf(format, isForced);
      const chunks = [...Array.from(cut).flatMap((one) => reader.push(one)), ...reader.end()].map((part) =>
        chatShape.chunk(head, 0, part, undefined),
      );
      chunks.push(chatShape.closing(head, 0, reader.finish('length')));
      expect(answer).toMatchObject({ choices: [putTogether(chunks as Chunk[])] });
      expect(finish).toBe('length');
    }
  });

  it('is in a response the same whole and streamed', () => {
    for (const cut of cutsOf(text)) {
      const whole = new ResponseOutput('r1', readerOf(format, isForced));
      whole.push({ text: cut, ids: [] });
      whole.end('length');
      const output = new ResponseOutput('r1', readerOf(format, isForced));
      const tokens = Array.from(cut).flatMap((one) => output.push({ text: one, ids: [] }));
      const events = [...tokens, ...output.end('length')];
      expect(output.items).toEqual(whole.items);
      expect(
        events.flatMap(({ type, item }) => (type === 'response.output_item.done' ? [item] : [])),
      ).toEqual(whole.items);
      for (const item of (output.items as readonly Item[]).filter(({ type }) => type === 'function_call')) {
        const own = events.filter(({ item_id }) => item_id === item.id);
        expect(own.map(({ delta = '' }) => delta).join('')).toBe(item.arguments);
        expect(own.at(-1)).toMatchObject({
          type: 'response.function_call_arguments.done',
          arguments: item.arguments,
        });
        if (item.status === 'incomplete') expect(item).toBe(output.items.at(-1));
      }
    }
  });
});
