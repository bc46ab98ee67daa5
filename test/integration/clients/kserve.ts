import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { python } from '../../tools/python.ts';
import type { RoutedTarget } from './target.ts';

const run = promisify(execFile);

/** What KServe's unchanged clients must be able to do, over REST and gRPC. `executable`: a Python that has them. */
export const kserveClients = (of: () => RoutedTarget, executable: string): void => {
  describe("KServe's clients", () => {
    let seen: Record<string, unknown>;
    beforeAll(async () => {
      const { grpcAddress, httpUrl, route, sample } = of();
      const script = join(import.meta.dirname, 'kserve-check.py');
      const asked = [route.name, 'no-such-model', sample.prompt, String(sample.maxTokens)];
      const { stdout } = await run(executable, [script, grpcAddress, httpUrl, ...asked], { timeout: 60_000 });
      seen = JSON.parse(stdout) as Record<string, unknown>;
    }, 70_000);

    describe.each(['rest', 'grpc'])('%s', (protocol) => {
      it('live, ready, and an answer of the adapter', () => {
        expect(seen).toMatchObject({
          [`${protocol}_live`]: true,
          [`${protocol}_ready`]: true,
          [`${protocol}_model_ready`]: true,
          [`${protocol}_id`]: '7',
          [`${protocol}_unknown`]: expect.stringContaining('no-such-model'),
        });
        expect(String(seen[`${protocol}_text`]).trim()).toBe(of().sample.adapter);
      });

      it('an answer says what made it', () => {
        const { served } = of().route;
        expect(seen).toMatchObject({
          [`${protocol}_parameters`]: { ...served, request_id: expect.any(String) },
        });
      });
    });
  });
};

/** A Python with KServe's clients, or undefined when the machine has no python3. */
export const kservePython = (): Promise<string | undefined> => python(['kserve==0.15.2']);
