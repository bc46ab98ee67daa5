import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, tiny } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';

// vLLM's calls against a whole node, whose folder of manifests is empty at first.
let node: TestNode;
const root = folderOfTests();
const settings = { 'lora-loading': 'true' };

beforeAll(async () => {
  await cp(tiny.adapters, join(root, 'models'), { recursive: true });
  node = await TestNode.start({ settings, importRoots: join(root, 'models') });
});
afterAll(async () => {
  await node.dispose();
});

const post = async (path: string, body: object) => {
  const response = await fetch(`${node.http}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
};
const load = (name: string, path: string) =>
  post('/v1/load_lora_adapter', { lora_name: name, lora_path: path });
const unload = (name: string) => post('/v1/unload_lora_adapter', { lora_name: name });
const answerOf = async (model: string) => {
  const body = { model, prompt: 'moon:', max_tokens: 16, temperature: 0 };
  const { status, text } = await post('/v1/completions', body);
  if (status !== 200) return { status };
  const { choices } = JSON.parse(text) as { choices: { text: string }[] };
  return { status, text: choices[0]?.text.trim() };
};
const modelsOf = async () => {
  const list = (await (await fetch(`${node.http}/v1/models`)).json()) as {
    data: { id: string; parent: string | null }[];
  };
  return list.data.map(({ id, parent }) => [id, parent]);
};

describe('an adapter that a request loads', () => {
  it('serves once the call was answered, is listed with its base model, and is gone once it was unloaded', async () => {
    expect(await answerOf('loud')).toEqual({ status: 404 });
    expect(await load('loud', join(root, 'models', 'upper'))).toEqual({
      status: 200,
      text: "Success: LoRA adapter 'loud' added successfully.",
    });
    expect(await answerOf('loud')).toEqual({ status: 200, text: 'MOON!' });
    expect(await modelsOf()).toContainEqual(['loud', 'tiny']);
    expect((await load('loud', 'upper')).text).toContain('has already been loaded');
    expect((await unload('loud')).status).toBe(200);
    expect(await answerOf('loud')).toEqual({ status: 404 });
    expect((await unload('loud')).status).toBe(404);
  });

  it('that cannot serve leaves nothing behind', async () => {
    await cp(join(root, 'models', 'upper'), join(root, 'models', 'broken'), { recursive: true });
    await rm(join(root, 'models', 'broken', 'adapter_model.safetensors'));
    expect((await load('broken', 'broken')).status).toBeGreaterThanOrEqual(400);
    expect(await modelsOf()).not.toContainEqual(['broken', 'tiny']);
    expect((await load('elsewhere', '/etc')).status).toBe(403);
  });

  it('is there after a restart', async () => {
    expect((await load('back', 'reverse')).status).toBe(200);
    await node.end();
    node = await TestNode.start({
      settings,
      importRoots: join(root, 'models'),
      folder: node.folder,
    });
    expect(await answerOf('back')).toEqual({ status: 200, text: 'noom.' });
  });
});
