import { describe, expect, it } from 'vitest';
import { EventStream } from './event-stream.ts';

const token = (text: string) => ({ kind: 'token', ids: [1], text }) as const;

describe('the events of a request', () => {
  it('come in order, before and after they are waited for', async () => {
    const stream = new EventStream();
    stream.push(token('a'));
    expect(await stream.next()).toEqual(token('a'));
    const waiting = stream.next();
    stream.push(token('b'));
    expect(await waiting).toEqual(token('b'));
  });

  it('end at once with a failure, the first of several', async () => {
    const stream = new EventStream();
    const waiting = stream.next();
    stream.push(token('a'));
    stream.fail(new Error('first'));
    stream.fail(new Error('second'));
    await expect(waiting).rejects.toThrow('first');
    await expect(stream.next()).rejects.toThrow('first');
  });
});
