import { readFile } from 'node:fs/promises';
import { credentials, Metadata, type StatusObject, status } from '@grpc/grpc-js';
import {
  ControlClient,
  type Hello,
  Identity_Kind,
  type SyncRequest,
  type SyncResponse,
} from '../../src/gen/adaptlet/control/v1/control.ts';
import { enforcedFields } from '../../src/plan/policy-fields.ts';

export type RawOptions = {
  /** host:port of a replica. */
  readonly address: string;
  readonly caFile: string;
  readonly token: string;
};

/** A client of Sync that says whatever it is told to say. */
export class RawRuntime {
  readonly received: SyncResponse[] = [];
  /** How the stream ended: `CODE: details`. */
  readonly ended: Promise<string>;
  readonly #call;
  readonly #client: ControlClient;
  #isOver = false;

  private constructor(client: ControlClient, token: string) {
    this.#client = client;
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    this.#call = client.sync(metadata);
    this.#call.on('data', (message: SyncResponse) => this.received.push(message));
    this.#call.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.#call.on('status', ({ code, details }: StatusObject) => {
        this.#isOver = true;
        this.#client.close();
        resolve(`${status[code]}: ${details}`);
      });
    });
  }

  static async open({ address, caFile, token }: RawOptions): Promise<RawRuntime> {
    const secure = credentials.createSsl(await readFile(caFile), null, null, {
      checkServerIdentity: () => undefined,
    });
    const options = {
      'grpc.ssl_target_name_override': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    };
    return new RawRuntime(new ControlClient(address, secure, options), token);
  }

  get isOver(): boolean {
    return this.#isOver;
  }
  get isWelcome(): boolean {
    return this.received.some(({ message }) => message?.$case === 'welcome');
  }

  /** Resolves when the stream takes the next message, or is over. */
  send(message: NonNullable<SyncRequest['message']>): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      void this.ended.then(() => resolve());
      this.#call.write({ message }, () => resolve());
    });
  }
  close(): void {
    this.#call.cancel();
  }
}

/** A Hello that an operator takes from the runtime of this node. */
export const helloOf = (namespace: string, name: string, more: Partial<Hello> = {}): Hello => ({
  protocol: 1,
  peerAddress: '',
  identity: { namespace, name, kind: Identity_Kind.NODE },
  instance: 'raw',
  connectionSeq: 1n,
  version: '0.0.0',
  baseModel: 'tiny',
  baseDigest: `sha256:${'b'.repeat(64)}`,
  executionProvider: 'CPUExecutionProvider',
  maxRank: 256,
  labels: {},
  clusterUid: '',
  revision: undefined,
  held: [],
  heldHash: Buffer.alloc(0),
  subscriptions: [],
  policyFields: [...enforcedFields],
  ...more,
});
