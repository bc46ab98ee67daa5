import { noRevision, type Revision } from '../../../control/revision.ts';
import { resourceToWire } from '../../../control/wire.ts';
import type {
  Ack,
  Held,
  Hello,
  Report,
  SyncRequest,
  SyncResponse,
  Welcome,
} from '../../../gen/adaptlet/control/v1/control.ts';
import { type Resource, versioned } from '../../../plan/resources.ts';
import type { Dial, StreamEnd, StreamListener } from '../dial.ts';

/** One stream without a network. */
export class MemoryStream {
  readonly requests: SyncRequest[] = [];
  /** True: the stream takes nothing more. */
  stalled = false;
  cancelled = false;
  #nonce = 0n;
  #waiting: (() => void)[] = [];
  readonly #listener: StreamListener;

  constructor(listener: StreamListener) {
    this.#listener = listener;
  }

  take(request: SyncRequest, sent: () => void): void {
    this.requests.push(request);
    if (this.stalled) this.#waiting.push(sent);
    else sent();
  }

  flow(): void {
    this.stalled = false;
    for (const sent of this.#waiting.splice(0)) sent();
  }

  send(message: NonNullable<SyncResponse['message']>): void {
    this.#listener.message({ message });
  }
  welcome(clusterUid = 'cluster-1', more: Partial<Welcome> = {}): void {
    const usual = {
      clusterUid,
      replica: 'replica-1',
      readsHeldHash: true,
      reportsKept: undefined,
      reportLike: undefined,
      feedbackKeys: [],
    };
    this.send({ $case: 'welcome', value: { ...usual, ...more } });
  }
  put(...resources: readonly Resource[]): void {
    for (const r of resources) this.send({ $case: 'put', value: resourceToWire(versioned(r)) });
  }
  remove(...keys: readonly string[]): void {
    for (const key of keys) this.send({ $case: 'remove', value: key });
  }
  commit(revision: Revision = noRevision): bigint {
    this.#nonce += 1n;
    const value = { nonce: this.#nonce, revision: { ...revision }, confirmedRemovals: '' };
    this.send({ $case: 'commit', value });
    return this.#nonce;
  }
  end(more: Partial<StreamEnd> = {}): void {
    this.#listener.closed({ why: 'UNAVAILABLE: gone', isClean: false, ...more });
  }

  get hello(): Hello {
    const [first] = this.requests;
    if (first?.message?.$case !== 'hello') throw new Error('the first message is not a Hello');
    return first.message.value;
  }
  /** The list that the runtime holds, which it is asked for. */
  listed(): Held[] {
    this.send({ $case: 'heldWanted', value: { partHashes: [] } });
    const last = this.requests.at(-1)?.message;
    if (last?.$case !== 'held') throw new Error('the runtime sent no list');
    return last.value.held;
  }
  get acks(): Ack[] {
    return this.requests.flatMap(({ message }) => (message?.$case === 'ack' ? [message.value] : []));
  }
  get reports(): Report[] {
    return this.requests.flatMap(({ message }) => (message?.$case === 'report' ? [message.value] : []));
  }
  get subscribed(): string[][] {
    return this.requests.flatMap(({ message }) =>
      message?.$case === 'subscribe' ? [message.value.names] : [],
    );
  }
}

/** Streams without a network, for what time and order are about. */
export class MemoryOperator {
  readonly streams: MemoryStream[] = [];
  /** Thrown by the next dials. */
  refuse: Error | undefined;
  dialled = 0;

  readonly dial: Dial = async (listener) => {
    this.dialled++;
    if (this.refuse !== undefined) throw this.refuse;
    const stream = new MemoryStream(listener);
    this.streams.push(stream);
    return {
      send: (message, sent) => stream.take(message, sent),
      cancel: () => {
        stream.cancelled = true;
      },
    };
  };

  get last(): MemoryStream {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new Error('nobody dialled');
    return stream;
  }
}

/** Lets promises that are settled run on. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
