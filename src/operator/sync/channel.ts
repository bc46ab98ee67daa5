import type { ServerDuplexStream } from '@grpc/grpc-js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { serviceErrorOf } from '../../grpc/service-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { Pace } from './pace.ts';

/**
 * One stream of grpc-js, read message by message and written with backpressure.
 *
 * Guarantees: nothing is taken in before somebody reads, so of a stream that is refused there are never more than
 * 128 KiB, two windows of HTTP/2; the next message is read when the last one was handled; a write waits until the other side takes it; it
 * ends once, and `signal` is aborted then, with the reason.
 */
export class Channel<In, Out> {
  readonly #call: ServerDuplexStream<In, Out>;
  readonly #clock: Clock;
  readonly #pace: Pace | undefined;
  readonly #ended = new AbortController();
  readonly #waiting: In[] = [];
  #wake: (() => void) | undefined;
  /** Settled when the other side takes more; undefined while it does. */
  #drained: Promise<void> | undefined;
  /** Somebody has read. */
  #isRead = false;
  /** The other side will send no more. */
  #closed = false;

  /** `pace`: how fast it is read; absent: as fast as it comes. */
  constructor(call: ServerDuplexStream<In, Out>, clock: Clock, pace?: Pace) {
    this.#call = call;
    this.#clock = clock;
    this.#pace = pace;
    call.on('end', () => {
      this.#closed = true;
      this.#wake?.();
    });
    const left = (): void => {
      if (!this.signal.aborted)
        this.#abort(new AdaptletError('REQUEST_CANCELLED', 'the other side went away'));
    };
    call.on('cancelled', left);
    call.on('close', left);
    // What grpc-js has to say comes as `cancelled` or `close`; without a listener it would end the process.
    call.on('error', () => undefined);
  }

  /** Aborted when the stream is over. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * The next message; undefined when the other side sends no more.
   * @throws the reason of `signal`
   */
  async read(): Promise<In | undefined> {
    return (await this.#arrived()) ? this.#waiting.shift() : undefined;
  }

  /**
   * Hands on each message, the next one when that is done, until the other side sends no more. No message is kept: an async
   * function that waits for the next one would hold the last one in a variable, which may be long and the last for days.
   * @throws the reason of `signal`, and what `handle` throws
   */
  async each(handle: (message: In) => Promise<void> | void): Promise<void> {
    while (await this.#arrived()) await this.#hand(handle);
  }

  #hand(handle: (message: In) => Promise<void> | void): Promise<void> | void {
    const message = this.#waiting.shift();
    return message === undefined ? undefined : handle(message);
  }

  /** Resolves when there is a message that may be read; to false when the other side sends no more. */
  async #arrived(): Promise<boolean> {
    for (;;) {
      this.signal.throwIfAborted();
      if (this.#waiting.length > 0) {
        const pause = this.#pace?.next() ?? 0;
        if (pause > 0) await this.#pause(pause);
        this.signal.throwIfAborted();
        return true;
      }
      if (this.#closed) return false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#resume();
      });
      this.#wake = undefined;
    }
  }

  #resume(): void {
    if (!this.#isRead) {
      this.#isRead = true;
      // A listener begins to read: grpc-js then takes the next message in, however long it is, also while the call is paused.
      this.#call.on('data', (message: In) => {
        if (this.signal.aborted) return;
        this.#call.pause();
        this.#waiting.push(message);
        this.#wake?.();
      });
    }
    this.#call.resume();
  }

  /**
   * Resolves when the other side takes more.
   * @throws the reason of `signal`
   */
  async write(message: Out): Promise<void> {
    this.signal.throwIfAborted();
    if (this.#call.write(message)) return;
    this.#drained ??= this.#drain();
    await this.#drained;
    this.signal.throwIfAborted();
  }

  /** One for all that wait. */
  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#drained = undefined;
        this.#call.off('drain', done);
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      this.#call.on('drain', done);
      this.signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Ends the stream: without an error, or with one. */
  end(error?: AdaptletError): void {
    if (this.signal.aborted) return;
    if (error === undefined) this.#call.end();
    else this.#call.emit('error', serviceErrorOf(error));
    this.#abort(error ?? new AdaptletError('REQUEST_CANCELLED', 'the stream is over'));
  }

  #abort(reason: AdaptletError): void {
    if (this.signal.aborted) return;
    this.#ended.abort(reason);
    this.#wake?.();
    // Reads to the end: grpc-js keeps a stream for as long as something is unread.
    this.#call.resume();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      const stop = this.#clock.after(ms, done);
      this.signal.addEventListener('abort', done, { once: true });
    });
  }
}
