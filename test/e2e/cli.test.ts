import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

describe('adaptlet without a node', () => {
  it.each(['', 'serve', 'lint', 'convert', 'status', 'doctor', 'generate', 'rollback'])(
    'adaptlet %s --help says what it does',
    async (command) => {
      const { code, stdout } = await adaptlet(...(command === '' ? [] : [command]), '--help');
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Usage: adaptlet/);
      expect(stdout.length).toBeGreaterThan(200);
    },
  );

  it('names every setting that is missing or wrong, with flag and variable', async () => {
    const { code, stderr } = await adaptlet('serve', '--threads', 'many');
    expect(code).toBe(1);
    expect(stderr).toContain('--model (ADAPTLET_MODEL) is required');
    expect(stderr).toContain('--threads (ADAPTLET_THREADS) is "many"');
  });

  it('says that a base model folder is none', async () => {
    const data = await mkdtemp(join(tmpdir(), 'adaptlet-none-'));
    // It listens before it looks at the model.
    const listen = ['--grpc-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
    const { code, stderr } = await adaptlet('serve', '--model', 'docs', '--data-dir', data, ...listen);
    await rm(data, { recursive: true });
    expect(code).toBe(1);
    expect(stderr).toContain('model.onnx');
  });

  it('says how to reach a node when none is named, or none listens', async () => {
    expect((await adaptlet('status')).stderr).toContain('--data-dir');
    expect((await adaptlet('status', '--data-dir', '/nowhere')).stderr).toContain('no runtime listens');
    expect(
      (await adaptlet('generate', '-m', 'x', '-s', '127.0.0.1:1', '--timeout', '2000', 'hi')).stderr,
    ).toContain('127.0.0.1:1');
  });

  it('lints the examples, and finds what is wrong in a file', async () => {
    expect(await adaptlet('lint', 'examples', 'examples/first')).toMatchObject({ code: 0 });
  });
});

describe('adaptlet with a node', () => {
  let node: TestNode;
  const here = () => ['--data-dir', node.data];
  beforeAll(async () => {
    node = await TestNode.start();
    await node.write(
      'adapters.yaml',
      yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
    );
    await node.write(
      'broken.yaml',
      yaml.adapter('broken', 'variants/broken-header', '  preload: {tier: Disk}\n'),
    );
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}'));
    await waitFor('stable', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
    await waitFor('the verdict', async () =>
      (await node.client.status()).adapters.some((a) => a.state === 'Failed'),
    );
  });
  afterAll(() => node.dispose());

  it('generate prints the text on stdout and what served it on stderr', async () => {
    const { code, stdout, stderr } = await adaptlet('generate', '-m', 'shout', '-s', node.grpc, 'moon:');
    expect([code, stdout]).toEqual([0, ' MOON!']);
    expect(stderr).toMatch(/\[upper [0-9a-f]{12}, rollout shout \(stable\)\]/);
  });

  it('generate fails with the code and the advice', async () => {
    const { code, stderr } = await adaptlet('generate', '-m', 'shuot', '-s', node.grpc, 'moon:');
    expect(code).toBe(1);
    expect(stderr).toContain('MODEL_NOT_FOUND');
    expect(stderr).toContain('shout');
  });

  it('status shows everything, and --check fails while something is wrong', async () => {
    const { code, stdout } = await adaptlet('status', ...here());
    expect(code).toBe(0);
    const stable = stdout
      .replaceAll(/\b[0-9a-f]{12}\b/g, 'DIGEST')
      .replaceAll(node.folder, 'FOLDER')
      .replaceAll(tiny.model, 'MODEL')
      // Known a moment after the node is ready.
      .replaceAll(/, manifest sha256:[0-9a-f]{64}/g, '')
      .replaceAll(/up \d+ s/g, 'up N s')
      .replaceAll(/[\d.]+ MiB/g, 'N MiB')
      // With the native operator or without.
      .replace(/^adapters (?:by the native operator \(\w+\)|in the portable way: .*)$/m, 'adapters HOW')
      .replaceAll(/ +$/gm, '');
    expect(stable).toMatchInlineSnapshot(`
      "tiny DIGEST  engine ready (CPUExecutionProvider)  up N s  version 0.1.0
      model MODEL: Ready
      adapters HOW
      this node runs 8 requests of 256 tokens at once (keys and values: float32, 512 bytes per token, N MiB)
      RAM N MiB of N MiB  disk N MiB of N MiB
      manifests FOLDER/manifests: ok

      ADAPTER           DIGEST         STATE      RAM       IN USE   RANK       REASON
      default/broken    DIGEST   Failed     N MiB   0        0          ADAPTER_HEADER_TOO_LARGE
      default/reverse                  Remote     N MiB   0        0
      default/upper     DIGEST   Resident   N MiB   0        4

      ROLLOUT         PHASE     STABLE   CANARY   STEP   WEIGHT     SERVED               MESSAGE
      default/shout   Healthy   upper                    0% of 0%   1 stable, 0 canary   upper serves

      Problems:
        adapter default/broken is Failed: ADAPTER_HEADER_TOO_LARGE: adapter_model.safetensors: says that its header has 1099511627776 bytes, the limit is 16777216. The file is damaged or hostile: get it again from where it was trained.
      "
    `);
    expect((await adaptlet('status', '--check', ...here())).code).toBe(1);
    const json = JSON.parse((await adaptlet('status', '-o', 'json', ...here())).stdout) as {
      baseModel: string;
    };
    expect(json.baseModel).toBe('tiny');
  });

  it('carries out verbs, and says why one does not apply', async () => {
    expect((await adaptlet('preload', 'reverse', ...here())).stdout).toBe('default/reverse: Resident\n');
    expect((await adaptlet('pin', 'reverse', ...here())).stdout).toContain('pinned');
    expect((await adaptlet('unpin', 'reverse', ...here())).stdout).not.toContain('pinned');
    expect((await adaptlet('evict', 'reverse', ...here())).stdout).toContain('default/reverse: Compiled');
    const refused = await adaptlet('promote', 'shout', ...here());
    expect([refused.code, refused.stderr.includes('no canary is under way')]).toEqual([1, true]);
    const undo = await adaptlet('undo', 'shout', ...here());
    expect(undo.code).toBe(1);
    expect(undo.stderr).toContain('default/shout: this node only follows the spec: set spec.adapter back');
    expect((await adaptlet('evict', 'nobody', ...here())).code).toBe(1);
  });
});
