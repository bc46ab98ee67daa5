import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startDiskThread } from '../../../artifact/disk-thread.ts';
import { ContentStore } from '../../../artifact/store.ts';
import { gatherNode } from './gather.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'adaptlet-doctor-'));
  vi.stubEnv('ADAPTLET_ONNX_RUNTIME_LIBRARY', '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dataDir, { recursive: true, force: true });
});

/** Without a library: nothing native is loaded into the process of the tests. */
const gather = (model?: string, modelFile?: string) =>
  gatherNode(
    {
      dataDir,
      ...(model === undefined ? {} : { model }),
      modelFile,
      onnxRuntimeLibrary: '/nowhere/lib.so',
      loraOperator: '/nowhere/lora.so',
    },
    Date.now,
  );

describe('what is known of a node', () => {
  it('has a model from a registry as one, and not as a folder that is missing', async () => {
    const url = `oci://registry.example/models/tiny@sha256:${'1'.repeat(64)}`;
    expect((await gather(url)).model).toEqual({ kind: 'registry', url });
    expect((await gather('/nowhere')).model).toMatchObject({ kind: 'folder', path: '/nowhere' });
  });

  it('looks for what a model has around the graph that is taken', async () => {
    const model = join(dataDir, 'model');
    await mkdir(join(model, 'onnx'), { recursive: true });
    for (const name of ['onnx/model_fp16.onnx', 'onnx/model_q4.onnx', 'genai_config.json'])
      await writeFile(join(model, name), '');
    expect((await gather(model)).model).toMatchObject({
      missing: { error: { what: expect.stringContaining('several ONNX files') } },
    });
    expect((await gather(model, 'onnx/model_q4.onnx')).model).toMatchObject({
      missing: { value: ['tokenizer.json'] },
    });
  });

  it('says why a native operator cannot be used', async () => {
    expect((await gather()).lora).toMatchObject({
      wish: '/nowhere/lora.so',
      found: { error: { what: expect.stringContaining('/nowhere/lora.so cannot be used') } },
    });
  });

  it('has the data folder as locked while a runtime has its store open, and no longer', async () => {
    expect((await gather()).data?.isLocked).toBe(false);
    await using disk = startDiskThread();
    const store = await ContentStore.open({ root: join(dataDir, 'store'), budgetBytes: 1 << 20, disk });
    expect((await gather()).data?.isLocked).toBe(true);
    await store[Symbol.asyncDispose]();
    expect((await gather()).data?.isLocked).toBe(false);
  });
});
