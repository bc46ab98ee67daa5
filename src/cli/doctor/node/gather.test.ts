import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { startDiskThread } from '../../../artifact/disk-thread.ts';
import { ContentStore } from '../../../artifact/store.ts';
import { withChecksum } from '../../../disk/checked.ts';
import { issueAuthority, issueCertificate } from '../../../operator/identity/certificate.ts';
import { usedProducts, writeVerdict } from '../../../runtime/engine/graphs/products-verdict.ts';
import { findOperator } from '../../../runtime/engine/ort/operator.ts';
import { gatherNode } from './gather.ts';
import { token } from './token-check.ts';

// A library that cannot be loaded stays so for all tests of this process.
vi.mock('../../../runtime/engine/ort/providers.ts', () => ({
  builtInProviders: () => {
    throw new Error('no ONNX Runtime here');
  },
}));

let dataDir: string;
beforeEach(() => {
  dataDir = folderOfTest();
  vi.stubEnv('ADAPTLET_ONNX_RUNTIME_LIBRARY', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const operator = findOperator('auto', () => undefined);

const gather = (model?: string, modelFile?: string, loraOperator = '/nowhere/lora.so') =>
  gatherNode(
    {
      dataDir,
      ...(model === undefined ? {} : { model }),
      modelFile,
      loraOperator,
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

  it.skipIf(operator?.products === undefined)(
    'says what was found of linears, of the operator that is used',
    async () => {
      const used = usedProducts(operator!)!;
      const folder = join(dataDir, 'base/prepared/model');
      await mkdir(folder, { recursive: true });
      await writeVerdict(folder, { ...used, digest: '0'.repeat(64) }, { refused: 'an earlier build' });
      await writeVerdict(folder, used, { refused: 'a reason' });
      expect((await gather(undefined, undefined, 'auto')).lora).toMatchObject({
        linears: ["keep ONNX Runtime's products: a reason"],
      });
    },
  );

  it('says why a native operator cannot be used', async () => {
    expect((await gather()).lora).toMatchObject({
      wish: '/nowhere/lora.so',
      found: { error: { what: expect.stringContaining('/nowhere/lora.so cannot be used') } },
    });
  });

  it('knows the operator and the certificate of a device out of its data folder', async () => {
    expect(await gather()).toMatchObject({ operator: undefined, device: undefined });
    const authority = await issueAuthority('devices', { from: 0, until: Date.now() + 60_000 });
    const { certificate } = await issueCertificate(authority, {
      subject: { name: 'camera' },
      names: ['camera'],
      validity: { from: 0, until: Date.now() + 60_000 },
    });
    const device = {
      token: '',
      // Nobody listens there.
      address: '127.0.0.1:1',
      authority: authority.certificate.replace(/-----[A-Z ]+-----|\s/g, ''),
      namespace: 'adaptlet-system',
      name: 'camera',
      key: '',
      certificate,
      receivedAt: 0,
      lifetimeMs: 60_000,
    };
    await mkdir(join(dataDir, 'state'));
    await writeFile(join(dataDir, 'state/device.json'), withChecksum(device));
    const facts = await gather();
    expect(facts.operator).toMatchObject({ address: '127.0.0.1:1', handshake: { error: {} } });
    expect(facts.ca).toMatchObject({ text: { value: authority.certificate } });
    const whatOf = (now: number) =>
      token({ ...facts, now }).map(({ level, message }) => `${level}: ${message}`);
    expect(whatOf(facts.now)[0]).toMatch(/^ok: a certificate of the device camera until/);
    expect(whatOf(facts.now + 120_000)[0]).toMatch(/^warning: the certificate of the device camera is over/);
    await writeFile(join(dataDir, 'state/device.json'), withChecksum({ ...device, certificate: '' }));
    expect(token(await gather())[0]?.message).toBe('the device camera has not used its token yet');
    await writeFile(join(dataDir, 'state/device.json'), 'torn');
    expect(token(await gather())[0]?.message).toContain('device.json');
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
