import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  type status as Status,
} from '@grpc/grpc-js';
import { waitFor } from '../../../../test/support/wait.ts';
import {
  type Ack,
  type ControlServer,
  ControlService,
  type Hello,
  type SyncRequest,
  type SyncResponse,
} from '../../../gen/adaptlet/control/v1/control.ts';
import type { ServerCertificate } from './certificates.ts';
import { OperatorStream } from './operator-stream.ts';

type Call = ServerDuplexStream<SyncRequest, SyncResponse>;

/** One stream, as the operator sees it. */
export class FakeStream extends OperatorStream {
  readonly call: Call;
  readonly authorization: string;
  ended = false;

  constructor(call: Call) {
    super();
    this.call = call;
    this.authorization = String(call.metadata.get('authorization')[0] ?? '');
    call.on('data', (request: SyncRequest) => this.requests.push(request));
    for (const event of ['end', 'cancelled', 'error']) call.on(event, () => this.#end());
  }

  #end(): void {
    this.ended = true;
  }

  hello(): Promise<Hello> {
    return waitFor('the Hello', () => {
      const [first] = this.requests;
      return first?.message?.$case === 'hello' && first.message.value;
    });
  }

  /** Keys of the list that the runtime holds, which it is asked for. */
  async listed(): Promise<string[]> {
    this.send({ $case: 'heldWanted', value: { partHashes: [] } });
    return waitFor('the list', () => {
      const lists = this.requests.flatMap(({ message }) =>
        message?.$case === 'held' ? [message.value] : [],
      );
      return lists[0]?.held.map(({ key }) => key);
    });
  }

  override send(message: NonNullable<SyncResponse['message']>): void {
    this.call.write({ message });
  }

  /** The answer to a commit. */
  ack(nonce: bigint): Promise<Ack> {
    return waitFor(`the answer to commit ${nonce}`, () => this.acks.find((ack) => ack.nonce === nonce));
  }

  fail(code: Status, details: string): void {
    this.call.emit('error', { code, details } as ServiceError);
  }
}

/** A Control service over TLS that does what a test says. */
export class FakeOperator {
  readonly streams: FakeStream[] = [];
  #server: Server | undefined;
  port = 0;

  /** Listens, on the port of before if it listened already. */
  async listen({ key, certificate }: ServerCertificate): Promise<void> {
    // With channelz, without which grpc-js cuts no connection.
    const server = new Server();
    const service: ControlServer = {
      sync: (call) => void this.streams.push(new FakeStream(call)),
      relay: (call) => call.end(),
    };
    server.addService(ControlService, service);
    const secure = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.port}`, secure, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    this.#server = server;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The `n`th stream, counted from 1, once its Hello has come. */
  async stream(n = 1): Promise<FakeStream> {
    const stream = await waitFor(`stream ${n}`, () => this.streams[n - 1]);
    await stream.hello();
    return stream;
  }

  /** Cuts every connection. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }
}
