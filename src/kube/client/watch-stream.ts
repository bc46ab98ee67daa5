import type { Readable } from 'node:stream';
import type { Clock } from '../../time/clock.ts';
import { type Call, unavailable } from './errors.ts';

export type WatchStreamOptions = {
  readonly call: Call;
  readonly clock: Clock;
  /** Milliseconds without a byte, while one is waited for, after which the connection counts as dead. */
  readonly silentMs: number;
  readonly maxLineBytes: number;
};

const lineFeed = 0x0a;

/**
 * The JSON documents of a stream that has one per line, in memory bounded by `maxLineBytes` and a chunk. A reader that
 * is slow slows the sender down, and is not taken for silence. Ends with the stream; leaving it early closes the stream.
 *
 * @throws AdaptletError KUBE_UNAVAILABLE when the stream breaks off, also within a line; is silent; has a line that is
 * too long, not UTF-8, or not JSON
 */
export const readWatchStream = async function* (
  stream: Readable,
  { call, clock, silentMs, maxLineBytes }: WatchStreamOptions,
): AsyncGenerator<unknown, void, undefined> {
  // Whole lines are decoded, so characters that chunks cut apart come back together.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parse = (line: Buffer): unknown => {
    try {
      return JSON.parse(decoder.decode(line)) as unknown;
    } catch (error) {
      throw unavailable(call, 'the stream has a line that is not JSON', error);
    }
  };
  let head: Buffer[] = [];
  let headBytes = 0;
  for await (const chunk of heardChunks(stream, call, clock, silentMs)) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      const rest = chunk.subarray(from, end);
      from = end + 1;
      if (headBytes + rest.length > maxLineBytes) throw tooLong(call, maxLineBytes);
      const line = headBytes === 0 ? rest : Buffer.concat([...head, rest]);
      head = [];
      headBytes = 0;
      if (line.length > 0) yield parse(line);
    }
    if (from === chunk.length) continue;
    head.push(chunk.subarray(from));
    headBytes += chunk.length - from;
    if (headBytes > maxLineBytes) throw tooLong(call, maxLineBytes);
  }
  if (headBytes > 0) throw unavailable(call, 'the stream ended within a line');
};

const tooLong = (call: Call, maxLineBytes: number) =>
  unavailable(call, `the stream has a line of more than ${maxLineBytes} bytes`);

const heardChunks = async function* (
  stream: Readable,
  call: Call,
  clock: Clock,
  silentMs: number,
): AsyncGenerator<Buffer, void, undefined> {
  const listen = () =>
    clock.after(silentMs, () => stream.destroy(new Error(`nothing was heard for ${silentMs} ms`)));
  let stopListening = listen();
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      stopListening();
      yield chunk;
      stopListening = listen();
    }
  } catch (error) {
    throw unavailable(call, 'the stream broke off', error);
  } finally {
    stopListening();
  }
};
