import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifierFiles } from '../../src/runtime/classifiers/artifact-file.ts';
import { axisHead, axisTable } from '../../src/runtime/classifiers/tables.fixture.ts';
import { adaptlet } from '../support/cli.ts';
import { minilm } from '../support/models.ts';
import { TestNode } from '../support/node.ts';
import { hasRegistry, TestRegistry } from '../support/registry.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const real = minilm();

type Pushed = { readonly digest: string; readonly source: { readonly oci: { readonly image: string } } };

/** A route of one classifier, whose label `weather` has a rule of its own. */
const route = (kind: 'examples' | 'onnx', { digest, source }: Pushed, more = ''): string => `
apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: weather
    matches: [{classifier: {name: intent, labels: [weather]}}]
    targets: [{base: true}]
  - name: everyone
    targets: [{base: true}]
  classifiers:
  - name: intent
    minConfidence: 0.5
    ${more}
    ${kind}: {source: {oci: {image: "${source.oci.image}"}}, digest: "${digest}"}
`;

/** Status, and what the answer says of its route. */
const ask = async (node: TestNode, prompt: string) => {
  const response = await fetch(`${node.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'assistant', prompt, max_tokens: 1, temperature: 0 }),
  });
  await response.text();
  const header = (name: string): string => response.headers.get(`x-adaptlet-${name}`) ?? '';
  const { status } = response;
  return { status, rule: header('rule'), classified: header('classified'), error: header('error') };
};

const explained = async (node: TestNode, prompt: string): Promise<string> =>
  (await adaptlet('explain', '--admin', node.admin, '-m', 'assistant', prompt)).stdout;

const untilRule = (node: TestNode, prompt: string, rule: string): Promise<unknown> =>
  waitFor(`rule ${rule}`, async () => (await ask(node, prompt)).rule === rule, 120_000);

/** As a person does it: `adaptlet push`, into a real registry. */
const push = async (registry: TestRegistry, folder: string, image: string): Promise<Pushed> => {
  const { code, stdout, stderr } = await adaptlet('push', folder, `${registry.host}/${image}`, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const pushed = JSON.parse(stdout) as Pushed;
  expect((await adaptlet('digest', folder)).stdout.trim()).toBe(pushed.digest);
  return pushed;
};

describe.skipIf(!hasRegistry)('a table that was pushed (needs go to build the registry)', () => {
  let registry: TestRegistry;
  let node: TestNode;
  const folder = folderOfTests();
  let pushed: Pushed;
  let other: Pushed;

  const tableIn = async (name: string, head: typeof axisHead): Promise<string> => {
    const path = join(folder, name);
    await mkdir(path);
    for (const [file, bytes] of classifierFiles({ ...axisTable(), head }, 'made by hand'))
      await writeFile(join(path, file), bytes);
    return path;
  };

  beforeAll(async () => {
    registry = await TestRegistry.start();
    pushed = await push(registry, await tableIn('intent', axisHead), 'team-a/intent:v1');
    const [first = '', second = ''] = axisHead.labels;
    const swapped = { ...axisHead, labels: [second, first] };
    other = await push(registry, await tableIn('swapped', swapped), 'team-a/intent:v2');
    node = await TestNode.start();
  });
  afterAll(async () => {
    await node.dispose();
    await registry[Symbol.asyncDispose]();
  });

  it('is fetched by a node from where the route says, and classifies', async () => {
    await node.write('route.yaml', route('examples', pushed));
    await untilRule(node, 'rain', 'weather');
    expect(await ask(node, 'rain')).toMatchObject({
      status: 200,
      classified: expect.stringMatching(/^intent=weather;score=0\.\d{3};margin=0\.\d{3}$/) as string,
    });
    expect((await ask(node, 'jazz')).rule).toBe('everyone');
    expect(registry.reads.some((path) => path.includes(`/team-a/intent/manifests/${pushed.digest}`))).toBe(
      true,
    );
  });

  it('gives way to the one that the route names by its digest later, whatever the tag says', async () => {
    await node.write('route.yaml', route('examples', { ...other, source: pushed.source }));
    await untilRule(node, 'jazz', 'weather');
    expect((await ask(node, 'rain')).classified).toMatch(/^intent=music;/);
  });

  it('that is not the one of the digest classifies nothing: requests fall through, or are refused', async () => {
    const absent = { ...pushed, digest: `sha256:${'0'.repeat(64)}` };
    await node.write('route.yaml', route('examples', absent));
    await untilRule(node, 'rain', 'everyone');
    await waitFor('the reason', async () => (await explained(node, 'rain')).includes('DIGEST_MISMATCH'));
    await node.write('route.yaml', route('examples', absent, 'onUncertain: Refuse'));
    await waitFor('a refusal', async () => (await ask(node, 'rain')).error === 'ROUTE_UNCERTAIN');
  });

  it('classifies after a restart while the registry is down', async () => {
    await node.write('route.yaml', route('examples', pushed));
    await untilRule(node, 'rain', 'weather');
    await node.end();
    registry.shut();
    node = await TestNode.start({ folder: node.folder });
    await untilRule(node, 'rain', 'weather');
    registry.open();
  });
});

describe.skipIf(!hasRegistry || real === undefined)(
  'an adapter with a head that was pushed (needs go, and ADAPTLET_MODELS or ../shared/models)',
  () => {
    const rain = 'will it rain tomorrow in oslo';
    let registry: TestRegistry;
    let node: TestNode;

    const start = (folder?: string): Promise<TestNode> =>
      TestNode.start({
        ...(folder === undefined ? {} : { folder }),
        settings: { 'classifier-model': real?.modelDir ?? '' },
      });

    beforeAll(async () => {
      registry = await TestRegistry.start();
      node = await start();
    });
    afterAll(async () => {
      await node.dispose();
      await registry[Symbol.asyncDispose]();
    });

    it('is fetched by a node, compiled for its encoder, and classifies', async () => {
      const pushed = await push(registry, join(real?.adapters ?? '', 'intent'), 'team-a/intent-head:v1');
      await node.write('route.yaml', route('onnx', pushed));
      await untilRule(node, rain, 'weather');
      await waitFor('an answer of the encoder', async () =>
        /^intent=music;score=0\.\d{3};/.test((await ask(node, 'play some jazz')).classified),
      );
      expect(registry.reads.some((path) => path.endsWith(`/manifests/${pushed.digest}`))).toBe(true);
    }, 150_000);

    it('classifies after a restart while the registry is down', async () => {
      await node.end('SIGKILL');
      registry.shut();
      node = await start(node.folder);
      await untilRule(node, rain, 'weather');
    }, 150_000);
  },
);
