import { EventEmitter } from 'node:events';
import { credentials } from '@grpc/grpc-js';
import { expect, it, onTestFinished, vi } from 'vitest';
import { ControlClient, RelayResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { RelayClient } from './relay-client.ts';
import { FleetStore } from './store.ts';

it('does nothing for a stream that is over, also when a response of it comes after that', () => {
  const call = Object.assign(new EventEmitter(), { write: vi.fn(() => true), cancel: vi.fn() });
  const dialled = vi.spyOn(ControlClient.prototype as ControlClient, 'relay');
  dialled.mockReturnValue(call as unknown as ReturnType<ControlClient['relay']>);
  onTestFinished(() => dialled.mockRestore());
  const clock = new FakeClock();
  const planAges = vi.fn(() => []);
  const client = new RelayClient({
    fleet: new FleetStore({ clock }),
    replica: 'operator-b',
    planAges,
    leader: () => ({ identity: 'operator-a', address: 'localhost:1' }),
    isLeader: () => false,
    onLeader: () => () => undefined,
    credentials: credentials.createInsecure(),
    serverName: 'localhost',
    clock,
    random: () => 0,
    logger: silentLog,
  });
  expect([dialled.mock.calls.length, call.write.mock.calls.length]).toEqual([1, 1]);
  client.close();
  expect(call.cancel).toHaveBeenCalledOnce();
  call.emit('data', RelayResponse.create({ share: 3 }));
  clock.advance(60_000);
  expect([planAges.mock.calls.length, call.write.mock.calls.length, dialled.mock.calls.length]).toEqual([
    0, 1, 1,
  ]);
});
