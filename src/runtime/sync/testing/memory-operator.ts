import type { Held, Hello, SyncRequest, SyncResponse } from '../../../gen/adaptlet/control/v1/control.ts';
import type { Dial, StreamEnd, StreamListener } from '../dial.ts';
import { OperatorStream } from './operator-stream.ts';

/** One stream without a network. */
export class MemoryStream extends OperatorStream {
  /** True: the stream takes nothing more. */
  stalled = false;
  cancelled = false;
  #waiting: (() => void)[] = [];
  readonly #listener: StreamListener;

  constructor(listener: StreamListener) {
    super();
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

  override send(message: NonNullable<SyncResponse['message']>): void {
    this.#listener.message({ message });
  }
  remove(...keys: readonly string[]): void {
    for (const key of keys) this.send({ $case: 'remove', value: key });
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
