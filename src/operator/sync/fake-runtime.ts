import { type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  ControlClient,
  Hello,
  Identity_Kind,
  Report,
  type Resource,
  type SyncRequest,
  type SyncResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import { retryAfterMsOf } from '../../grpc/retry-after.ts';
import { enforcedFields } from '../../plan/policy-fields.ts';

type Message = NonNullable<SyncResponse['message']>;

export type Ended = {
  readonly code: string;
  readonly details: string;
  readonly error: string;
  readonly retryAfterMs: number | undefined;
};

/** A runtime by hand: tests say what it sends, and see everything that it gets. */
export class FakeRuntime {
  readonly messages: Message[] = [];
  ended: Ended | undefined;
  readonly #client: ControlClient;
  readonly call: ClientDuplexStream<SyncRequest, SyncResponse>;

  /** `own`: PEM, the certificate of a device. */
  constructor(
    address: string,
    bundle: string,
    token: string,
    own?: { readonly key: string; readonly certificate: string },
  ) {
    const [key, certificate] = own === undefined ? [] : [Buffer.from(own.key), Buffer.from(own.certificate)];
    const secure = credentials.createSsl(Buffer.from(bundle), key ?? null, certificate ?? null);
    this.#client = new ControlClient(address, secure, {
      'grpc.ssl_target_name_override': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
    const metadata = new Metadata();
    if (token !== '') metadata.set('authorization', `Bearer ${token}`);
    this.call = this.#client.sync(metadata);
    this.call.on('data', ({ message }: SyncResponse) => {
      if (message !== undefined) this.messages.push(message);
    });
    this.call.on('error', () => undefined);
    this.call.on('status', ({ code, details, metadata: trailers }: ServiceError) => {
      const [error] = trailers.get('x-adaptlet-error');
      this.ended = {
        code: status[code] ?? String(code),
        details,
        error: String(error ?? ''),
        retryAfterMs: retryAfterMsOf(trailers),
      };
    });
  }

  send(message: SyncRequest['message']): void {
    this.call.write({ message });
  }
  hello(more: Partial<Hello> = {}, name = 'node-1'): void {
    const value: Hello = {
      ...Hello.create(),
      protocol: 1,
      identity: { namespace: 'adaptlet-system', name, kind: Identity_Kind.NODE },
      instance: 'instance-1',
      connectionSeq: 1n,
      version: '0.1.0',
      baseModel: 'tiny',
      policyFields: [...enforcedFields],
      ...more,
    };
    this.send({ $case: 'hello', value });
  }
  ack(nonce: bigint, refused: { key: string; version: string; reason: string }[] = []): void {
    this.send({ $case: 'ack', value: { nonce, refused } });
  }
  report(more: Partial<Report> = {}): void {
    this.send({ $case: 'report', value: { ...Report.create(), ...more } });
  }
  subscribe(...names: string[]): void {
    this.send({ $case: 'subscribe', value: { names } });
  }

  of<Case extends Message['$case']>(kind: Case): Extract<Message, { $case: Case }>['value'][] {
    return this.messages.flatMap((message) => (message.$case === kind ? [message.value as never] : []));
  }
  get welcomed(): boolean {
    return this.of('welcome').length > 0;
  }
  get commits(): number {
    return this.of('commit').length;
  }
  keys(): string[] {
    return this.of('put').map(({ key }: Resource) => key);
  }

  close(): void {
    this.call.cancel();
    this.#client.close();
  }
}
