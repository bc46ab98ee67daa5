import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { inputTextOf, promptTextOf } from '../../runtime/routing/prompt-text.ts';
import { startFakeHttp } from '../../runtime/server/testing/http-app.ts';
import { promptsOf } from '../../runtime/serving/choices.ts';
import { contextOf, readRequests } from './asked.ts';

/** What a node that is sent the body lets rules see. */
const seenByNode = async (path: string, body: object) => {
  const { parts, post } = startFakeHttp();
  parts.serving.base = {
    ...parts.serving.base,
    chat: { calls: 'hermes', parallel: true, thinks: false },
  };
  const response = await post(path, body);
  expect([response.status, await response.text()]).toEqual([200, expect.anything()]);
  const [generated, encoded] = [parts.serving.calls[0], parts.serving.encoded[0]];
  if (encoded !== undefined) return inputTextOf(encoded.request.texts);
  return promptTextOf(promptsOf(generated?.request ?? expect.fail('nothing was asked for')));
};

/** What `--requests` lets them see. */
const seenHere = async (body: object) => {
  const file = join(folderOfTest(), 'requests.jsonl');
  await writeFile(file, JSON.stringify({ body }));
  const [asked] = await readRequests(file, undefined);
  return contextOf(asked ?? expect.fail('there is one request'), 'default').prompt;
};

const user = (content: unknown) => ({ role: 'user', content });
const said = { role: 'assistant', content: 'here' };
const parts = (type: string) => [
  { type, text: 'see you ' },
  { type, text: 'in court' },
];
const call = { type: 'function_call', call_id: 'c', name: 'look', arguments: '{}' };
const answer = { type: 'function_call_output', call_id: 'c', output: 'in court' };
const tools = [{ type: 'function', name: 'look', parameters: { type: 'object' } }];

const [completions, chat, responses] = ['/v1/completions', '/v1/chat/completions', '/v1/responses'];
const [embeddings, classify] = ['/v1/embeddings', '/v1/classify'];

it.each<readonly [text: string | undefined, path: string, body: object]>([
  ['court', completions, { prompt: 'court' }],
  ['court', completions, { prompt: ['court'] }],
  [undefined, completions, { prompt: ['court', 'law'] }],
  [undefined, completions, { prompt: [1, 2] }],
  [undefined, completions, { prompt: [[1, 2]] }],
  ['court', chat, { messages: [user('law'), said, user('court'), said] }],
  ['see you in court', chat, { messages: [{ role: 'system', content: 'law' }, user(parts('text'))] }],
  [undefined, chat, { messages: [{ role: 'developer', content: 'law' }] }],
  ['court', responses, { input: 'court' }],
  ['court', responses, { input: 'court', instructions: 'law' }],
  ['court', responses, { input: [user('law'), said, { type: 'message', ...user('court') }, said] }],
  ['see you in court', responses, { input: [user(parts('input_text'))], instructions: 'law' }],
  ['court', responses, { input: [user('court'), call, answer], tools }],
  [
    'court',
    responses,
    {
      input: [
        { type: null, ...user('court') },
        { type: 'reasoning', summary: [] },
      ],
    },
  ],
  [undefined, responses, { input: [{ role: 'developer', content: 'law' }] }],
  ['court', embeddings, { input: 'court' }],
  ['court', embeddings, { input: ['court'] }],
  [undefined, embeddings, { input: ['court', 'law'] }],
  [undefined, embeddings, { input: [1, 2] }],
  [undefined, embeddings, { input: [[1, 2]] }],
  ['court', classify, { input: 'court' }],
])('rules see %j of a request to %s, here as on a node', async (text, path, more) => {
  const body = { model: 'sql', ...more };
  const node = await seenByNode(path, body);
  expect(node?.text).toBe(text);
  expect(await seenHere(body)).toEqual(node);
});

it('a long text is cut here as on a node', async () => {
  const body = { model: 'sql', input: 'a'.repeat(3000) };
  const node = await seenByNode(responses, body);
  expect(node).toMatchObject({ isCut: true });
  expect(await seenHere(body)).toEqual(node);
});

it('an input that no node reads is refused with its line', async () => {
  await expect(seenHere({ model: 'sql', input: [{ role: 'user', content: 1 }] })).rejects.toThrow(
    /:1: body\.input: /,
  );
});
