import { status } from '@grpc/grpc-js';
import { expect, it, vi } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../../gen/grpc/health/v1/health.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

it('health follows readiness, for the server and for each service', async () => {
  await using fake = await startFakeGrpc();
  const check = async (service: string) =>
    (await unaryCall((cb) => fake.health.check({ service }, cb))).response;
  expect(await check('')).toEqual({ status: Status.SERVING });
  expect(await check('inference.GRPCInferenceService')).toEqual({ status: Status.SERVING });
  fake.parts.serving.readiness = { ok: false, reason: 'engine is starting' };
  expect(await check('adaptlet.inference.v1.Inference')).toEqual({ status: Status.NOT_SERVING });
  await expect(check('nope')).rejects.toMatchObject({ code: status.NOT_FOUND });
});

it('a watch is told at once and at every change', async () => {
  await using fake = await startFakeGrpc();
  const seen: Status[] = [];
  const watch = fake.health.watch({ service: '' });
  watch.on('data', (message: { status: Status }) => seen.push(message.status));
  watch.on('error', () => undefined);
  await vi.waitFor(() => expect(seen).toEqual([Status.SERVING]));
  fake.parts.serving.readiness = { ok: false, reason: 'engine died' };
  await vi.waitFor(() => expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]), { timeout: 3000 });
  watch.cancel();
});

it('an address that is taken is a configuration error that names it', async () => {
  await using fake = await startFakeGrpc();
  const { startGrpc } = await import('./server.ts');
  await expect(startGrpc({ ...fake.parts, address: fake.address })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(fake.address),
  });
});
