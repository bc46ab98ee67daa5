import { mkdtemp, rm } from 'node:fs/promises';
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
const gather = (model?: string) =>
  gatherNode(
    { dataDir, ...(model === undefined ? {} : { model }), onnxRuntimeLibrary: '/nowhere/lib.so' },
    Date.now,
  );

describe('what is known of a node', () => {
  it('has a model from a registry as one, and not as a folder that is missing', async () => {
    const url = `oci://registry.example/models/tiny@sha256:${'1'.repeat(64)}`;
    expect((await gather(url)).model).toEqual({ kind: 'registry', url });
    expect((await gather('/nowhere')).model).toMatchObject({ kind: 'folder', path: '/nowhere' });
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
