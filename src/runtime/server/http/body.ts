import type { HttpBindings } from '@hono/node-server';
import type { Context, MiddlewareHandler } from 'hono';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { unlessAborted } from '../../../time/unless-aborted.ts';
import type { Parts } from '../exchange.ts';
import { bindingsOf, headerOf } from './connection.ts';
import { needPlain } from './content-coding.ts';

/** Bytes of a request's body. */
export const maxBodyBytes = 4 << 20;

/** Bytes of each body that are taken in any case: the number of connections bounds them. */
const freeBytes = 64 << 10;

/** Bytes of bodies that are on their way. */
export class BodyRoom {
  readonly #limitBytes: number;
  #used = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws QUEUE_FULL */
  take(bytes: number): void {
    if (this.#used + bytes > this.#limitBytes) {
      throw new AdaptletError(
        'QUEUE_FULL',
        `bodies that are on their way take the ${this.#limitBytes} bytes that there are for them (--body-memory)`,
        { retryAfterMs: 1000 },
      );
    }
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

const tooLarge = (): AdaptletError =>
  new AdaptletError('REQUEST_TOO_LARGE', `the body has more than ${maxBodyBytes} bytes`);

/** What came of a body, in one piece: a piece for each part would let a client that sends single bytes take hundreds of times as much. */
class Gathered {
  readonly #room: BodyRoom;
  #bytes: Buffer;
  #size = 0;
  #held = 0;

  constructor(room: BodyRoom, firstBytes: number) {
    this.#room = room;
    this.#bytes = Buffer.allocUnsafe(firstBytes);
  }

  /** @throws REQUEST_TOO_LARGE, QUEUE_FULL */
  add(part: Uint8Array): void {
    const size = this.#size + part.length;
    if (size > maxBodyBytes) throw tooLarge();
    if (size > this.#bytes.length) this.#grow(Math.min(maxBodyBytes, Math.max(size, 2 * this.#bytes.length)));
    this.#bytes.set(part, this.#size);
    this.#size = size;
  }

  get whole(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  release(): void {
    this.#room.give(this.#held);
    this.#held = 0;
  }

  #grow(bytes: number): void {
    const more = Math.max(0, bytes - freeBytes) - this.#held;
    this.#room.take(more);
    this.#held += more;
    const larger = Buffer.allocUnsafe(bytes);
    larger.set(this.whole);
    this.#bytes = larger;
  }
}

/** Sees parts of a body as they come. */
type Look = (part: Uint8Array) => void;

/**
 * Parts as they come, by a listener: an iterator would wait for a turn at each of them. Who stops reading leaves the connection as it is: the
 * answer goes out on it.
 */
const listen = (incoming: HttpBindings['incoming'], take: (part: Uint8Array) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = (): void => void incoming.off('data', onData).off('close', onClose).off('end', onEnd);
    const onEnd = (): void => {
      stop();
      resolve();
    };
    const fail = (error: unknown): void => {
      stop();
      incoming.pause();
      reject(error);
    };
    const onClose = (): void => fail(incoming.errored ?? new Error('aborted'));
    const onData = (part: Buffer): void => {
      try {
        take(part);
      } catch (error) {
        fail(error);
      }
    };
    if (incoming.readableEnded) onEnd();
    else if (incoming.destroyed) onClose();
    else
      incoming
        .on('data', onData)
        .once('end', onEnd)
        .once('close', onClose)
        .on('error', () => undefined);
  });

/** `late` has it take no more. Who is late stays here for as long as its connection: Node ends no body whose answer is sent. */
const gather = async (c: Context, gathered: Gathered, look: Look, late: AbortSignal): Promise<Buffer> => {
  const { incoming } = bindingsOf(c);
  const take = (part: Uint8Array): void => {
    late.throwIfAborted();
    look(part);
    gathered.add(part);
  };
  try {
    if (incoming !== undefined) await listen(incoming, take);
    else for await (const part of c.req.raw.body ?? []) take(part);
    return gathered.whole;
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    const what = 'the caller went away before the body was there';
    throw new AdaptletError('REQUEST_CANCELLED', what, { cause: error });
  }
};

type WithBody = { Variables: { body: (look: Look) => Promise<Buffer>; over?: AbortSignal } };

/** Lets every handler read the body when it knows who asks, in time and within the room that all bodies share. */
export const limitedBodies = ({ clock, limits }: Pick<Parts, 'clock' | 'limits'>): MiddlewareHandler => {
  const { bodyMs } = limits;
  const room = new BodyRoom(limits.bodyBytes);
  const readBody = async (c: Context, look: Look): Promise<Buffer> => {
    needPlain('content-encoding', headerOf(c, 'content-encoding'));
    needPlain('transfer-encoding', headerOf(c, 'transfer-encoding'));
    const announced = Number(headerOf(c, 'content-length') ?? freeBytes);
    if (announced > maxBodyBytes) throw tooLarge();
    const gathered = new Gathered(room, Math.min(announced, freeBytes));
    const late = new AbortController();
    const over = (c as Context<WithBody>).get('over');
    if (over?.aborted === true) throw over.reason;
    over?.addEventListener('abort', () => late.abort(over.reason), { once: true });
    const stopTimer = clock.after(bodyMs, () => {
      const what = `the body did not come within ${bodyMs} ms (--body-timeout)`;
      late.abort(new AdaptletError('CLIENT_TOO_SLOW', what, { advice: 'Send the whole body at once.' }));
    });
    try {
      return await unlessAborted(gather(c, gathered, look, late.signal), late.signal);
    } finally {
      stopTimer();
      gathered.release();
    }
  };
  return async (c, next) => {
    c.set('body', (look: Look) => readBody(c, look));
    await next();
  };
};

/**
 * The body of a request, whole. `look` gets each part of it as it comes; what it throws ends the reading.
 * @throws BODY_ENCODED; REQUEST_TOO_LARGE; CLIENT_TOO_SLOW; QUEUE_FULL where bodies of others take the memory for them; REQUEST_CANCELLED
 */
export const bodyOf = (c: Context, look: Look): Promise<Buffer> => (c as Context<WithBody>).get('body')(look);
