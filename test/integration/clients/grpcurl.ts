import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Target } from './target.ts';

const run = promisify(execFile);

/** What grpcurl must be able to do with nothing but reflection. `executable`: its path. */
export const grpcurlClient = (of: () => Target, executable: string): void => {
  const grpcurl = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(executable, ['-plaintext', ...args], { timeout: 30_000 });
    return stdout;
  };

  describe('grpcurl', () => {
    it('lists the services of the data port, without Admin', async () => {
      const services = (await grpcurl(of().grpcAddress, 'list')).trim().split('\n');
      expect(services).toEqual(
        expect.arrayContaining([
          'adaptlet.inference.v1.Inference',
          'grpc.health.v1.Health',
          'inference.GRPCInferenceService',
        ]),
      );
      expect(services).not.toContain('adaptlet.inference.v1.Admin');
    });

    it('describes a method and its messages', async () => {
      const text = await grpcurl(of().grpcAddress, 'describe', 'adaptlet.inference.v1.GenerateRequest');
      expect(text).toContain('optional uint32 max_tokens = 6;');
    });

    it('streams a generation from JSON', async () => {
      const { models, sample, grpcAddress } = of();
      const request = { model: models.rollout, text: sample.prompt, max_tokens: sample.maxTokens };
      const text = await grpcurl(
        '-d',
        JSON.stringify(request),
        grpcAddress,
        'adaptlet.inference.v1.Inference/Generate',
      );
      const messages = JSON.parse(`[${text.trim().replaceAll(/\n\}\n\{/g, '\n},{')}]`) as {
        tokens?: { text?: string };
        served?: { adapter: string };
        done?: { usage: { completionTokens: number } };
      }[];
      expect(
        messages
          .map((m) => m.tokens?.text ?? '')
          .join('')
          .trim(),
      ).toBe(sample.adapter);
      expect(messages[0]?.served?.adapter).toBe(models.adapter);
      expect(messages.at(-1)?.done?.usage.completionTokens).toBeGreaterThan(0);
    });

    it('calls ModelInfer and the health check', async () => {
      const { models, sample, grpcAddress } = of();
      const request = {
        model_name: models.base,
        parameters: { max_tokens: { int64_param: sample.maxTokens } },
        inputs: [
          {
            name: 'text',
            datatype: 'BYTES',
            shape: [1],
            contents: { bytes_contents: [Buffer.from(sample.prompt).toString('base64')] },
          },
        ],
      };
      const text = await grpcurl(
        '-d',
        JSON.stringify(request),
        grpcAddress,
        'inference.GRPCInferenceService/ModelInfer',
      );
      const { outputs } = JSON.parse(text) as { outputs: { contents: { bytesContents?: string[] } }[] };
      const answer = Buffer.from(outputs[0]?.contents.bytesContents?.[0] ?? '', 'base64').toString();
      expect(answer.trim()).toBe(sample.base);
      expect(await grpcurl(grpcAddress, 'grpc.health.v1.Health/Check')).toContain('SERVING');
    });

    it('shows the code of an error in the trailers', async () => {
      const request = JSON.stringify({ model: 'no-such-model', text: 'x' });
      const call = grpcurl('-v', '-d', request, of().grpcAddress, 'adaptlet.inference.v1.Inference/Generate');
      const failed = (await call.then(
        () => ({}),
        (error: unknown) => error,
      )) as { stdout?: string; stderr?: string };
      expect(failed.stdout).toContain('x-adaptlet-error: MODEL_NOT_FOUND');
      expect(failed.stderr).toContain('NotFound');
    });
  });
};
