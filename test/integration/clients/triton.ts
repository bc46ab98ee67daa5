import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { python } from '../../tools/python.ts';
import type { Target } from './target.ts';

const run = promisify(execFile);

/** What an unchanged tritonclient must be able to do. `executable`: a Python that has it. */
export const tritonClient = (of: () => Target, executable: string): void => {
  describe('tritonclient', () => {
    let seen: Record<string, unknown>;
    beforeAll(async () => {
      const { grpcAddress, httpUrl, models, sample } = of();
      const script = join(import.meta.dirname, 'triton-check.py');
      const args = [
        script,
        grpcAddress,
        httpUrl.replace('http://', ''),
        models.adapter,
        'no-such-model',
        sample.prompt,
        String(sample.maxTokens),
      ];
      const { stdout } = await run(executable, args, { timeout: 60_000 });
      seen = JSON.parse(stdout) as Record<string, unknown>;
    });

    it('finds the server live and ready, and tells what it is', () => {
      expect(seen).toMatchObject({ live: true, ready: true, model_ready: true, unknown_ready: false });
      expect(seen).toHaveProperty('server.name', 'adaptlet');
      expect(seen).toHaveProperty('server.extensions', expect.arrayContaining(['model_repository']));
    });

    it('reads the tensors of a model and the index of the repository', () => {
      expect(seen).toHaveProperty('metadata.inputs.0', { name: 'text', datatype: 'BYTES', shape: ['1'] });
      const { models } = of();
      const entry = expect.objectContaining({ name: models.adapter, state: 'READY' });
      expect(seen).toHaveProperty('index.models', expect.arrayContaining([entry]));
    });

    it('infers from text with the adapter, and from token ids', () => {
      expect(String(seen['text']).trim()).toBe(of().sample.adapter);
      expect(seen).toMatchObject({
        id: '7',
        version: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        finish_reason: expect.stringMatching(/^(stop|length)$/),
        by_ids_outputs: ['token_ids'],
      });
      expect(seen['token_ids_shape']).toEqual([1, expect.any(Number)]);
    });

    it('does the same over HTTP, with tensors as bytes and as JSON', () => {
      expect(seen).toMatchObject({
        http_live: true,
        http_ready: true,
        http_model_ready: true,
        http_unknown_ready: false,
        http_id: '7',
        http_version: seen['version'],
        http_text: seen['text'],
        http_json_text: seen['text'],
        http_token_ids: seen['token_ids'],
      });
      expect(seen).toHaveProperty('http_metadata.inputs.0', { name: 'text', datatype: 'BYTES', shape: [1] });
      const entry = expect.objectContaining({ name: of().models.adapter, state: 'READY' });
      expect(seen).toHaveProperty('http_index', expect.arrayContaining([entry]));
      expect(seen).toHaveProperty('http_unknown.message', expect.stringContaining('no-such-model'));
      expect(seen).toHaveProperty('http_unknown.status', '404');
    });

    it('gets answers as they are where it accepts gzip, and is told what to leave out where it compresses', () => {
      expect(seen['http_accepting_text']).toBe(seen['text']);
      const told = (named: string, option: string): unknown =>
        expect.stringMatching(`^the ${named} is not read\\. .* without .*${option}`);
      for (const coding of ['gzip', 'deflate']) {
        expect(seen[`http_${coding}`]).toEqual({
          status: '415',
          message: told(`content-encoding "${coding}"`, 'request_compression_algorithm \\(HTTP\\)'),
        });
        expect(seen[`grpc_${coding}`]).toEqual({
          status: 'StatusCode.UNIMPLEMENTED',
          message: told(`grpc-encoding "${coding}"`, 'compression_algorithm \\(gRPC\\)'),
        });
      }
    });

    it('streams: the parts are the whole, and a request that fails leaves the stream', () => {
      expect(seen).toMatchObject({ stream_text: seen['text'] });
      expect(seen['stream_error']).toContain('no-such-model');
      const told = seen['stream_told'] as readonly Record<string, string>[];
      expect(told.length).toBeGreaterThan(1);
      const { adapter } = told[0] ?? {};
      expect(adapter).not.toBe('');
      for (const part of told)
        expect(part).toEqual({
          digest: seen['version'],
          adapter,
          arm: expect.any(String),
          rule: expect.any(String),
        });
    });

    it('gets errors with status and message', () => {
      expect(seen).toHaveProperty('unknown.status', 'StatusCode.NOT_FOUND');
      expect(seen).toHaveProperty('unknown.message', expect.stringContaining('no-such-model'));
      expect(seen).toHaveProperty('invalid.status', 'StatusCode.INVALID_ARGUMENT');
    });
  });
};

/** Field numbers and types are those that tritonclient was generated from. */
export const tritonProtocol = (descriptors: string, executable: string): void => {
  it("our messages have the numbers and types of tritonclient's", async () => {
    const child = run(executable, [join(import.meta.dirname, 'proto-check.py')], { timeout: 60_000 });
    child.child.stdin?.end(descriptors);
    const { stdout } = await child;
    expect(JSON.parse(stdout)).toEqual({ messages: 22, differences: [] });
  });
};

/** A Python with tritonclient, or undefined when the machine has no python3. */
export const tritonPython = (): Promise<string | undefined> => python(['tritonclient[grpc,http]==2.73.0']);
