import { credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import {
  AdapterReport,
  ControlService,
  Report,
  type SyncRequest,
} from '../../gen/adaptlet/control/v1/control.ts';
import { listen } from '../../grpc/server.ts';
import { openStream } from './dial.ts';

let server: Server;
let address: string;
let taken: SyncRequest[];
beforeEach(async () => {
  taken = [];
  // As an operator takes them.
  server = new Server({ 'grpc.max_receive_message_length': 16 << 20 });
  server.addService(ControlService, {
    sync: (call: { on(event: 'data', listener: (message: SyncRequest) => void): void }) =>
      call.on('data', (message) => taken.push(message)),
    relay: () => undefined,
  });
  address = `127.0.0.1:${await listen(server, '127.0.0.1:0', ServerCredentials.createInsecure())}`;
});
afterEach(() => server.forceShutdown());

it('reports everything of a runtime on which 20,000 adapters failed', async () => {
  const ends: string[] = [];
  const stream = openStream(
    { address, secure: credentials.createInsecure(), metadata: new Metadata() },
    { message: () => undefined, closed: ({ details }) => ends.push(details) },
  );
  const adapters = Array.from({ length: 20_000 }, (_, i) =>
    AdapterReport.fromPartial({
      key: `team-a/adapter-${i}`,
      uid: '0'.repeat(36),
      state: 'Failed',
      message: 'x'.repeat(450),
    }),
  );
  const value: Report = { ...Report.create(), whole: true, adapters };
  expect(Report.encode(value).finish().length).toBeGreaterThan(8 << 20);
  stream.send({ message: { $case: 'report', value } }, () => undefined);
  await waitFor('the report, or the end of the stream', () => taken.length + ends.length > 0);
  expect(ends).toEqual([]);
  stream.cancel();
});
