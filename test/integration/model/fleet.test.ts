import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import { tiny } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { hasRegistry, ModelRegistry } from './registry.ts';

describe.skipIf(!hasRegistry)('base models of a fleet (needs go to build the registry)', () => {
  let fleet: TestFleet;
  let registry: ModelRegistry;
  let digest: string;

  beforeAll(async () => {
    registry = await ModelRegistry.start();
    digest = await registry.push(await registry.largeModel('one'), 'models/tiny:v1');
    fleet = await TestFleet.start({ replicas: 2, runtimes: 2 });
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  const condition = (index: number, type: string) =>
    fleet.runtime(index).then((status) => status?.conditions.find((c) => c.type === type));
  const says = (index: number, type: string, status: string, reason: string) =>
    waitFor(
      `${type}=${status} ${reason} of node-${index}`,
      async () => {
        const found = await condition(index, type);
        return found?.status === status && found.reason === reason && found.message;
      },
      60_000,
    );
  const others = async () => {
    const text = await (await fleet.leader()).metrics();
    return /^adaptlet_operator_runtimes_other_model (\d+)$/m.exec(text)?.[1];
  };

  it('say that they are loaded, and which one', async () => {
    for (const index of [0, 1]) {
      await says(index, 'ModelReady', 'True', 'Loaded');
      await says(index, 'ModelMatches', 'True', 'SameModel');
      const status = await waitFor('the digest of the folder', async () => {
        const now = await fleet.runtime(index);
        return now?.baseModel.manifestDigest !== undefined && now;
      });
      expect(status.baseModel).toMatchObject({
        name: 'tiny',
        source: tiny.model,
        digest: expect.stringMatching(/^sha256:/),
        manifestDigest: expect.stringMatching(/^sha256:/),
      });
    }
  });

  it('are seen on their way, and match by their files however they are packed', async () => {
    registry.network.slowDown(512 << 10);
    const model = `oci://${registry.host}/models/tiny@${digest}`;
    const starting = fleet.startNode(2, { model });
    const message = await says(2, 'ModelReady', 'False', 'Downloading');
    expect(message).toMatch(/\d+ of 6 MiB/);
    expect((await fleet.runtime(2))?.baseModel).toMatchObject({ source: model, manifestDigest: digest });
    registry.network.slowDown(undefined);
    await starting;
    await says(2, 'ModelReady', 'True', 'Loaded');
    // Its filler is no file that decides answers.
    await says(2, 'ModelMatches', 'True', 'SameModel');
    expect(await others()).toBe('0');
  });

  it('that are not what most have are said so, with what to do, and go on serving', async () => {
    const node = await fleet.startNode(3, { model: tiny.model.replace('onnx-fp32', 'onnx-int4') });
    const message = await says(3, 'ModelMatches', 'False', 'OtherModel');
    const theirs = (await fleet.runtime(0))?.baseModel;
    expect(message).toContain(theirs?.digest);
    expect(message).toContain('--model oci://');
    expect((await condition(3, 'Ready'))?.status).toBe('True');
    expect((await node.client.ask({ model: 'tiny', prompt: 'moon:' })).text).toMatch(/./);
    await waitFor('the metric', async () => (await others()) === '1');
    const events = await fleet.cluster.kubectlOk(['-n', systemNamespace, 'get', 'events', '-o', 'json']);
    expect(events).toContain('OtherModel');
    expect((await condition(0, 'ModelMatches'))?.status).toBe('True');
  });

  it('whose registry is away say so', async () => {
    registry.network.refuse();
    const starting = fleet.startNode(4, { model: `oci://${registry.host}/models/tiny@${digest}` });
    expect(await says(4, 'ModelReady', 'False', 'FetchFailed')).toContain('REGISTRY_UNAVAILABLE');
    registry.network.accept();
    await starting;
    await says(4, 'ModelReady', 'True', 'Loaded');
  });
});
