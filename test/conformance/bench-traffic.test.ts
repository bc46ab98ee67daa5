import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { FakeClock } from '../../src/time/fake-clock.ts';
import { type Ask, type Asked, type Crowd, runCrowd, type Send } from '../bench/traffic/crowd.ts';
import { Greedy } from '../bench/traffic/greedy.ts';
import { exponentialMs } from '../bench/traffic/random-arrivals.ts';
import {
  firstTokensMs,
  isFull,
  shortAnswers,
  tokenGapsMs,
  tokensPerSecond,
  windowAfter,
} from '../bench/traffic/window.ts';

const ask: Ask = { adapter: 'a', prompt: [1], maxTokens: 2 };

/** A server whose answers a test gives by hand; a request that is given up fails. */
const byHand = () => {
  type Request = { readonly ask: Ask; readonly token: () => void; readonly end: (error?: Error) => void };
  const requests: Request[] = [];
  const send: Send = (one, token, signal) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('given up')));
      requests.push({
        ask: one,
        token,
        end: (error) => (error === undefined ? resolve() : reject(error)),
      });
    });
  return { requests, send };
};

/** Lets promises that are settled run what waits for them. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('arrivals of a Poisson process', () => {
  it('are apart by the mean on average, and by more than that with the probability 1/e', () => {
    const random = seededRandom(7);
    const gaps = Array.from({ length: 20_000 }, () => exponentialMs(random, 50));
    expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeCloseTo(50, 0);
    expect(gaps.filter((gap) => gap > 50).length / gaps.length).toBeCloseTo(Math.exp(-1), 2);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
  });

  it('never wait for ever, whatever the random number', () => {
    const [least, most] = [0, 1 - 2 ** -32].map((value) => exponentialMs(() => value, 50));
    expect(least).toBeCloseTo(0, 9);
    expect(most).toBeCloseTo(50 * Math.log(2 ** 32), 6);
  });
});

describe('a crowd of requests', () => {
  const start = (options: { readonly answers: number; readonly mostOpen: number }) => {
    const clock = new FakeClock(0);
    const server = byHand();
    const opened: string[] = [];
    const crowd = runCrowd({
      clock,
      gapMs: () => 10,
      next: (index, open) => {
        opened.push(`${index} after ${open.length}`);
        return ask;
      },
      send: server.send,
      ...options,
    });
    return { clock, ...server, opened, crowd };
  };

  it('comes in by the clock, and is turned away while the queue is full', async () => {
    const { clock, requests, opened, crowd } = start({ answers: 2, mostOpen: 2 });
    clock.advance(45);
    expect(opened).toEqual(['0 after 0', '1 after 1']);
    requests[0]?.end();
    await settle();
    clock.advance(10);
    expect(opened).toEqual(['0 after 0', '1 after 1', '2 after 1']);
    requests[2]?.end();
    const { turnedAway, openAfter } = await crowd;
    expect({ turnedAway, openAfter }).toEqual({ turnedAway: 3, openAfter: [1, 1] });
  });

  it('notes when requests came, their tokens and their ends', async () => {
    const { clock, requests, crowd } = start({ answers: 1, mostOpen: 2 });
    clock.advance(13);
    requests[1]?.token();
    clock.advance(4);
    requests[1]?.token();
    requests[1]?.end();
    const { asked } = await crowd;
    expect(asked).toEqual([
      { ...ask, askedMs: 0, tokenMs: [], doneMs: undefined },
      { ...ask, askedMs: 10, tokenMs: [13, 17], doneMs: 17 },
    ]);
  });

  it('ends with the last answer that was wanted: nobody comes after it', async () => {
    const { clock, requests, crowd } = start({ answers: 1, mostOpen: 9 });
    requests[0]?.end();
    await crowd;
    clock.advance(1000);
    expect(requests).toHaveLength(1);
  });

  it('fails with the error of a request, and gives up the others', async () => {
    const { clock, requests, crowd } = start({ answers: 5, mostOpen: 9 });
    clock.advance(10);
    requests[1]?.end(new Error('the queue is full'));
    await expect(crowd).rejects.toThrow('the queue is full');
    clock.advance(1000);
    expect(requests).toHaveLength(2);
  });
});

describe('a window of a crowd', () => {
  const asked = (askedMs: number, tokenMs: readonly number[], doneMs?: number): Asked => ({
    ...ask,
    askedMs,
    tokenMs,
    doneMs,
  });
  // Answered at 20, 40 and 60; the last one is given up.
  const crowd: Crowd = {
    asked: [asked(0, [10, 20], 20), asked(0, [12, 40], 40), asked(15, [30, 60], 60), asked(35, [50, 55, 70])],
    turnedAway: 0,
    openAfter: [2, 1, 1],
  };

  it('lies between the answer that fills the rows and the last one', () => {
    expect(windowAfter(crowd, 1)).toEqual({ fromMs: 20, toMs: 60 });
    expect(windowAfter(crowd, 2)).toEqual({ fromMs: 40, toMs: 60 });
    expect(() => windowAfter(crowd, 3)).toThrow('3 answers leave no window after 3');
  });

  it('counts the tokens that came within it, also those of requests that were given up', () => {
    // 40, 30, 60, 50 and 55 in 40 ms; 20 is not after its begin, 70 is behind its end.
    expect(tokensPerSecond(crowd.asked, { fromMs: 20, toMs: 60 })).toBe(125);
  });

  it('has the gaps whose later token is in it, and the first tokens that came in it', () => {
    const window = { fromMs: 20, toMs: 60 };
    expect(tokenGapsMs(crowd.asked, window)).toEqual([28, 30, 5]);
    expect(firstTokensMs(crowd.asked, window)).toEqual([15, 15]);
  });

  it('is full when something waited for every row that became free in it', () => {
    expect([isFull(crowd, 1, 1), isFull(crowd, 1, 2), isFull(crowd, 2, 2)]).toEqual([true, false, false]);
    const late = { ...crowd, openAfter: [0, 2, 2] };
    expect([isFull(late, 1, 2), isFull(late, 2, 2)]).toEqual([false, true]);
  });

  it('tells of complete answers that are too short', () => {
    expect(shortAnswers(crowd)).toBe(0);
    expect(shortAnswers({ ...crowd, asked: [asked(0, [1], 1), asked(0, [1])] })).toBe(1);
  });
});

describe('one with many requests', () => {
  const start = () => {
    const server = byHand();
    const clock = new FakeClock(0);
    const greedy = new Greedy({
      clock,
      send: server.send,
      open: 3,
      next: (index) => ({ ...ask, adapter: `a${index}` }),
    });
    return { ...server, clock, greedy };
  };

  it('sends the next one when one is answered', async () => {
    const { requests, greedy } = start();
    expect(requests.map((one) => one.ask.adapter)).toEqual(['a0', 'a1', 'a2']);
    requests[1]?.token();
    requests[1]?.end();
    await settle();
    expect(requests.map((one) => one.ask.adapter)).toEqual(['a0', 'a1', 'a2', 'a3']);
    await greedy[Symbol.asyncDispose]();
    expect(requests).toHaveLength(4);
  });

  it('tells when so many answers have begun', async () => {
    const { requests, greedy, clock } = start();
    let begun = false;
    const waiting = greedy.begun(2).then(() => (begun = true));
    requests[0]?.token();
    clock.advance(5);
    requests[0]?.token();
    await settle();
    expect(begun).toBe(false);
    requests[1]?.token();
    await waiting;
    expect(greedy.tokenMs).toEqual([0, 5, 5]);
    await greedy[Symbol.asyncDispose]();
  });

  it('fails with the error of a request', async () => {
    const { requests, greedy } = start();
    requests[2]?.end(new Error('the engine is down'));
    await expect(greedy.begun(1)).rejects.toThrow('the engine is down');
    await expect(greedy[Symbol.asyncDispose]()).rejects.toThrow('the engine is down');
  });
});
