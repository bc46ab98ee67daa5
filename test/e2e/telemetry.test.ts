import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';

/** ONNX Runtime 1.29 and later report to their maker, unless they believe that they run in a CI. */
it('a node reports to nobody: ONNX Runtime makes neither its uploader nor the identity of the device', async () => {
  const home = await mkdtemp(join(tmpdir(), 'adaptlet-home-'));
  const folders = { HOME: home, TMPDIR: home, XDG_CACHE_HOME: home, XDG_DATA_HOME: home };
  const noCi = { CI: '', GITHUB_ACTIONS: '', TF_BUILD: '', ORT_DISABLE_TELEMETRY: '' };
  const node = await TestNode.start({ env: { ...folders, ...noCi } });
  try {
    await node.client.ask({ model: 'tiny', prompt: 'the cat', maxTokens: 2 });
  } finally {
    await node.end();
  }
  expect(await readdir(home, { recursive: true })).toEqual([]);
  await rm(home, { recursive: true, force: true });
});
