import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

it('a disk that has room for one adapter serves four that requests ask for in turn, and says no STORE_FULL', async () => {
  const { size } = await stat(join(tiny.adapters, 'reverse/adapter_model.safetensors'));
  // The largest one with its compiled file, and less than any other one with its own beside it.
  node = await TestNode.start({ settings: { 'adapter-disk': String(Math.ceil(size * 2.4)) } });
  const names = ['upper', 'digits', 'reverse', 'hello'];
  await node.write('adapters.yaml', names.map((name) => yaml.adapter(name, `adapters/${name}`)).join(''));
  const listed = async () => (await node?.client.status())?.adapters.length === names.length;
  await waitFor('the plan', listed);
  const answers = new Map<string, string>();
  for (const name of [...names, ...names]) {
    const { text } = await node.client.ask({ model: name, prompt: 'moon:' });
    expect(answers.get(name) ?? text).toBe(text);
    answers.set(name, text);
  }
  expect(new Set(answers.values()).size).toBe(4);
  expect(node.log.filter((line) => line.includes('STORE_FULL'))).toEqual([]);
});
