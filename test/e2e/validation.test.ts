import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenVariants } from '../../src/runtime/adapter/peft-folder.fixture.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const expecting = (expect_: string) =>
  `  validation: {smokeTests: [{name: shouts, prompt: "moon:", maxTokens: 8, expect: ${expect_}}]}\n`;

describe('what an adapter must show before it serves', () => {
  let node: TestNode;
  const roots = folderOfTests();
  beforeAll(async () => {
    await writeSyntheticAdapter(join(roots, 'nothing'), join(tiny.root, 'model/config.json'), {
      rank: 4,
      scale: 0,
    });
    node = await TestNode.start({ importRoots: `${tiny.root},${roots}` });
    const manifests = [
      ...Object.keys(brokenVariants).map((name) => yaml.adapter(name, `variants/${name}`)),
      ...['valid-fp32', 'valid-bf16'].map((name) => yaml.adapter(name, `variants/${name}`)),
      yaml.adapter('nothing', 'nothing'),
      yaml.adapter('nothing-allowed', 'nothing', '  validation: {allowNoEffect: true}\n'),
      yaml.adapter('shouts', 'adapters/upper', expecting('{equals: " MOON!"}')),
      yaml.adapter('whispers', 'adapters/upper', expecting('{regex: "moon"}')),
      yaml.adapter('absent', 'adapters/nobody'),
    ];
    await node.write('all.yaml', manifests.join(''));
    await node.write(
      'other.yaml',
      yaml.adapter('other', 'adapters/upper').replace('baseModel: tiny', 'baseModel: tinny'),
    );
    await waitFor(
      'the adapters',
      async () => (await node.client.status()).adapters.length === manifests.length,
    );
  });
  afterAll(async () => {
    await node.dispose();
  });

  const refusal = async (model: string): Promise<string> => {
    await expect(node.client.ask({ model, prompt: 'moon:' })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
    });
    const adapter = (await node.client.status()).adapters.find((a) => a.key === `default/${model}`);
    expect(adapter?.state).toBe('Failed');
    return adapter?.reason ?? '';
  };

  it.each(Object.entries(brokenVariants))('%s is refused with %s', async (name, code) => {
    expect(await refusal(name)).toBe(code);
  });

  it.each(['valid-fp32', 'valid-bf16'])('%s is served', async (name) => {
    expect((await node.client.ask({ model: name, prompt: 'moon:' })).text).toBe(' MOON!');
  });

  it('an adapter without effect is refused, unless its manifest allows it', async () => {
    expect(await refusal('nothing')).toBe('ADAPTER_NO_EFFECT');
    const { text, served } = await node.client.ask({ model: 'nothing-allowed', prompt: 'moon:' });
    expect([text, served.adapter]).toEqual([' moon moon.', 'nothing-allowed']);
  });

  it('a smoke test decides, and the refusal quotes what came instead', async () => {
    expect((await node.client.ask({ model: 'shouts', prompt: 'moon:' })).text).toBe(' MOON!');
    expect(await refusal('whispers')).toBe('SMOKE_TEST_FAILED');
    const message = (await node.client.status()).adapters.find((a) => a.key === 'default/whispers')?.message;
    expect(message).toContain('MOON!');
  });

  it('files that are not there are said to be not there', async () => {
    expect(await refusal('absent')).toBe('ARTIFACT_NOT_FOUND');
  });

  it('an adapter for another base model is reported, not silently left out', async () => {
    const problems = (await node.client.status()).manifests?.problems ?? [];
    expect(problems).toContainEqual(
      expect.objectContaining({ file: 'other.yaml', reason: expect.stringContaining('tinny') as string }),
    );
    await expect(node.client.ask({ model: 'other', prompt: 'moon:' })).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
  });
});
