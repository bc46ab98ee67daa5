import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AnswerForm, type AnswerPart, AnswerReader, answerReaders, callId } from './answer-reader.ts';
import { formats } from './formats.ts';

const names = new Set(['now']);
const thinks = (): Omit<AnswerForm, 'id'> => ({ thinks: true });
const calls = (): Omit<AnswerForm, 'id'> => ({ calls: () => formats.hermes.read(names) });
const both = (): Omit<AnswerForm, 'id'> => ({ ...thinks(), ...calls() });

/** Parts of an answer, those of a kind that follow each other put together. */
const read = (form: Omit<AnswerForm, 'id'>, parts: readonly string[]) => {
  const reader = new AnswerReader({ ...form, id: 'r1' });
  const all: AnswerPart[] = [];
  for (const part of [...parts.flatMap((text) => reader.push(text)), ...reader.end()]) {
    const last = all.at(-1);
    if (part.kind === 'call' || last === undefined || last.kind === 'call' || last.kind !== part.kind)
      all.push(part);
    else all[all.length - 1] = { ...part, text: last.text + part.text };
  }
  return { parts: all, finish: reader.finish('stop') };
};

const content = (text: string): AnswerPart => ({ kind: 'content', text });
const reasoning = (text: string): AnswerPart => ({ kind: 'reasoning', text });
const call = (index: number, text = '{}'): readonly AnswerPart[] => [
  { kind: 'call', index, id: callId('r1', index), name: 'now' },
  { kind: 'arguments', index, text },
];
const written = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>';
const unended = '<tool_call>\n{"name": "now", "arguments": {"a": ';

it.each<[string, () => Omit<AnswerForm, 'id'>, string, readonly AnswerPart[]]>([
  ['a text', both, ' Hi \n', [content(' Hi \n')]],
  ['nothing', both, '', []],
  ['white space', both, ' \n', [content(' \n')]],
  ['thoughts before a text', thinks, '<think>\n a b \n</think>\n\nHi\n', [reasoning('a b'), content('Hi\n')]],
  ['thoughts behind white space', thinks, '\n<think>a</think>b', [reasoning('a'), content('b')]],
  ['no thoughts', thinks, '<think>\n\n</think>\n\nHi', [content('Hi')]],
  ['thoughts without an end', thinks, '<think>a\n</thi', [reasoning('a\n</thi')]],
  ['thoughts alone', thinks, '<think>a</think>\n', [reasoning('a')]],
  ['a mark that is cut', thinks, ' <thin', [content(' <thin')]],
  ['marks later on', thinks, 'a <think>b</think>', [content('a <think>b</think>')]],
  [
    'a second mark',
    thinks,
    '<think>a<think></think>b</think>',
    [reasoning('a<think>'), content('b</think>')],
  ],
  ['what looks like thoughts', calls, '<think>a</think>b', [content('<think>a</think>b')]],
  ['a call', calls, `\n${written}\n`, call(0)],
  ['a call that is cut', calls, unended, call(0, '{"a": ')],
  [
    'calls and texts',
    calls,
    `a\n${written}\n${written}\nb\n`,
    [content('a'), ...call(0), ...call(1), content('\nb')],
  ],
  ['a call in thoughts', both, `<think>${written}</think>${written}`, [reasoning(written), ...call(0)]],
])('%s: the same whole and at every cut', (_, form, text, expected) => {
  expect(read(form(), [text]).parts).toEqual(expected);
  for (let at = 0; at <= text.length; at += 1)
    expect(read(form(), [text.slice(0, at), text.slice(at)]).parts).toEqual(expected);
  expect(read(form(), Array.from(text)).parts).toEqual(expected);
});

describe('an answer with calls', () => {
  it('ends because of them, unless it is cut', () => {
    expect(read(calls(), [written]).finish).toBe('tool_calls');
    expect(read(calls(), ['x']).finish).toBe('stop');
    const reader = new AnswerReader({ ...calls(), id: 'r1' });
    reader.push(written);
    expect(reader.finish('length')).toBe('length');
  });

  it('that has a broken one without a mark is cut within it where the answer is', () => {
    const reader = new AnswerReader({ id: 'r1', calls: () => formats.llama.read(names) });
    reader.push('{"name": "now", "parameters": {"a": b c');
    expect(reader.finish('stop')).toBe('stop');
    reader.end();
    expect(reader.finish('stop')).toBe('tool_calls');
    expect(reader.isCut('stop')).toBe(false);
    expect(reader.finish('length')).toBe('length');
    expect(reader.isCut('length')).toBe(true);
  });

  it('does not end because of them where one is cut, and then says so', () => {
    const reader = new AnswerReader({ ...calls(), id: 'r1' });
    expect(reader.isCalling).toBe(false);
    reader.push(written + unended);
    expect(reader.isCalling).toBe(true);
    reader.end();
    expect(reader.isCalling).toBe(true);
    expect(reader.finish('stop')).toBe('stop');
    expect(reader.finish('length')).toBe('length');
  });

  it('has as many as it may; more are text', () => {
    expect(read({ ...calls(), most: 1 }, [`${written}\n${written}`]).parts).toEqual([
      ...call(0),
      content(`\n${written}`),
    ]);
    expect(read({ ...calls(), most: 0 }, Array.from(unended))).toEqual({
      parts: [content(unended)],
      finish: 'stop',
    });
  });
});

it('calls of all answers to a request have ids of their own, short enough for other servers', () => {
  const ids = answerReaders(calls(), 'r1', 3).flatMap((reader) =>
    reader.push(written.repeat(12)).flatMap((part) => (part.kind === 'call' ? [part.id] : [])),
  );
  expect(new Set(ids).size).toBe(36);
  for (const id of ids) expect(id).toMatch(/^call_[0-9a-f]{24}$/);
});

it.each([
  ['', / b$/],
  ['a', / b$/],
  ['<think>', /^b$/],
  ['<think>a', / b$/],
])('white space behind "%s" is read once, however long it goes on', (before, expected) => {
  const spaces = Array.from({ length: 200_000 }, () => '  ');
  expect(read(both(), [before, ...spaces, 'b']).parts.at(-1)).toHaveProperty(
    'text',
    expect.stringMatching(expected),
  );
});

it('without calls and thoughts an answer is its text, whatever it says', () => {
  const text = fc
    .array(fc.oneof(fc.string(), fc.constantFrom('<', '<think>', '<tool_call>', ' ', '\n', '{"name": "now"')))
    .map((all) => all.join(''));
  fc.assert(
    fc.property(text, fc.nat(), (answer, at) => {
      const cut = [answer.slice(0, at % (answer.length + 1)), answer.slice(at % (answer.length + 1))];
      const { parts } = read(both(), cut);
      fc.pre(parts.every(({ kind }) => kind === 'content'));
      fc.pre(!answer.trimStart().startsWith('<think>'));
      expect(parts).toEqual(answer === '' ? [] : [content(answer)]);
      expect(read({}, cut).parts).toEqual(answer === '' ? [] : [content(answer)]);
    }),
  );
});
