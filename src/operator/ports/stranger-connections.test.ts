import { EventEmitter } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { patienceMs, StrangerConnections } from './stranger-connections.ts';

class FakeSocket extends EventEmitter {
  destroyed = false;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number;

  constructor(remoteAddress: string | undefined, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

class FakeStream extends EventEmitter {
  readonly session: { readonly socket: FakeSocket };
  code: number | undefined;

  constructor(socket: FakeSocket) {
    super();
    this.session = { socket };
  }

  close(code: number): void {
    this.code = code;
  }

  gone(): void {
    this.emit('close');
  }
}

const start = (most = 4, expire = true) => {
  const clock = new FakeClock(0);
  const strangers = new StrangerConnections({ clock, most, expire });
  let ports = 0;
  const come = (address = '10.0.0.1') => {
    const socket = new FakeSocket(address, (ports += 1));
    let begun = false;
    strangers.admit(socket as unknown as Socket, () => (begun = true));
    const knows = (): (() => void) => strangers.knows(`${address}:${socket.remotePort}`);
    const answers = (): (() => void) => strangers.answers(socket);
    const asks = (): void => strangers.asks(socket);
    const call = () => {
      const stream = new FakeStream(socket);
      let isTaken = false;
      strangers.admitCall(stream as unknown as ServerHttp2Stream, () => (isTaken = true));
      return { stream, isTaken };
    };
    return { socket, knows, answers, asks, call, begun: () => begun };
  };
  return { clock, strangers, come };
};

describe('a connection that shows nobody', () => {
  it('has one call at a time, until it shows somebody', () => {
    const { come } = start();
    const connection = come();
    const first = connection.call();
    expect(first.isTaken).toBe(true);
    const second = connection.call();
    expect(second).toMatchObject({ isTaken: false, stream: { code: constants.NGHTTP2_REFUSED_STREAM } });
    expect(come().call().isTaken).toBe(true);
    first.stream.gone();
    const third = connection.call();
    expect(third.isTaken).toBe(true);
    expect(connection.call().isTaken).toBe(false);
    const over = connection.knows();
    const more = [connection.call(), connection.call()];
    expect(more.map(({ isTaken }) => isTaken)).toEqual([true, true]);
    over();
    for (const { stream } of [third, ...more]) {
      expect(connection.call().isTaken).toBe(false);
      stream.gone();
    }
    expect(connection.call().isTaken).toBe(true);
  });

  it('ends after a minute, and one of somebody known does not', () => {
    const { clock, strangers, come } = start();
    const [stranger, runtime] = [come(), come()];
    const over = runtime.knows();
    clock.advance(patienceMs - 1);
    expect(stranger.socket.destroyed).toBe(false);
    clock.advance(1);
    expect(stranger.socket.destroyed).toBe(true);
    expect(strangers).toMatchObject({ size: 0, ended: 1 });
    clock.advance(10 * patienceMs);
    expect(runtime.socket.destroyed).toBe(false);
    over();
    expect(strangers.size).toBe(1);
    over();
    clock.advance(patienceMs - 1);
    expect(runtime.socket.destroyed).toBe(false);
    clock.advance(1);
    expect(runtime.socket.destroyed).toBe(true);
  });

  it('is known as long as one of its streams is', () => {
    const { strangers, come } = start();
    const runtime = come();
    const overs = [runtime.knows(), runtime.knows()];
    overs[0]?.();
    expect(strangers.size).toBe(0);
    overs[1]?.();
    expect(strangers.size).toBe(1);
  });

  it('has its place taken by the next one where its network has most', () => {
    const { strangers, come } = start();
    const flood = [come(), come(), come()];
    const other = come('10.0.0.2');
    const next = come('10.0.0.3');
    expect(flood.map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    expect([other, next].map(({ socket, begun }) => [socket.destroyed, begun()])).toEqual([
      [false, true],
      [false, true],
    ]);
    expect(strangers).toMatchObject({ size: 4, ended: 1 });
  });

  it('is not let in where its own network has all places, until the oldest of it had ten seconds', () => {
    const { clock, strangers, come } = start();
    const flood = [come(), come(), come(), come()];
    const early = come();
    expect([early.socket.destroyed, early.begun()]).toEqual([true, false]);
    clock.advance(9_999);
    expect(come().socket.destroyed).toBe(true);
    clock.advance(1);
    const late = come();
    expect([late.socket.destroyed, late.begun()]).toEqual([false, true]);
    expect(flood.map(({ socket }) => socket.destroyed)).toEqual([true, false, false, false]);
    expect(strangers.ended).toBe(3);
  });

  it('is not ended for one whose network has as many, nor for the first of another, until it had ten seconds', () => {
    const { clock, come } = start(2);
    const [one, other] = [come('10.0.0.1'), come('10.0.0.2')];
    const early = [come('10.0.0.1'), come('10.0.0.3')];
    expect([one, other, ...early].map(({ socket }) => socket.destroyed)).toEqual([false, false, true, true]);
    clock.advance(9_999);
    expect(come('10.0.0.3').socket.destroyed).toBe(true);
    clock.advance(1);
    const late = come('10.0.0.3');
    expect([one, other, late].map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
  });

  it('finds a place at once where none waits for a turn, also among others of its own network', () => {
    const { come } = start(2, false);
    const flood = [come(), come()];
    const next = come();
    expect([...flood, next].map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    const other = come('10.0.0.2');
    expect([flood[1], next, other].map((one) => one?.socket.destroyed)).toEqual([true, false, false]);
  });

  it('has its place taken after those that answer no request, and is the newest once it has answered', () => {
    const { come } = start(4, false);
    const [asked, ...idle] = [come(), come(), come(), come()];
    const over = asked.answers();
    const overToo = asked.answers();
    const ended = () => [asked, ...idle].map(({ socket }) => socket.destroyed);
    come();
    expect(ended()).toEqual([false, true, false, false]);
    over();
    over();
    come();
    expect(ended()).toEqual([false, true, true, false]);
    overToo();
    come();
    expect(ended()).toEqual([false, true, true, true]);
    for (let more = 0; more < 3; more += 1) come();
    expect(asked.socket.destroyed).toBe(true);
    overToo();
    expect(come().begun()).toBe(true);
  });

  it('is the oldest where more than half answer requests: none that comes is ended for them', () => {
    const { strangers, come } = start(4, false);
    const busy = [come(), come(), come()];
    for (const one of busy) one.answers();
    const idle = come();
    const [next, more] = [come(), come()];
    expect(busy.map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    expect([idle, next, more].map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    expect(strangers).toMatchObject({ size: 4, ended: 2 });
  });

  it('that answers is spared for the oldest of all that answers none, while its network has less than half of all places', () => {
    const { come } = start(8, false);
    const busy = [come('10.0.0.1'), come('10.0.0.1')];
    for (const one of busy) one.answers();
    const young = come('10.0.0.1');
    const idle = Array.from({ length: 5 }, (_, at) => come(`10.0.1.${at}`));
    const ended = (some: readonly ReturnType<typeof come>[]) => some.map(({ socket }) => socket.destroyed);
    // For one of another network, which has fewer, and for one of its own, until it has half.
    const next = come('10.0.2.1');
    expect(ended([...busy, young, ...idle])).toEqual([false, false, true, ...idle.map(() => false)]);
    come('10.0.0.1').answers();
    come('10.0.0.1').answers();
    expect(ended([...busy, ...idle, next])).toEqual([false, false, true, true, false, false, false, false]);
    come('10.0.2.2');
    expect(ended([...busy, ...idle, next])).toEqual([true, false, true, true, false, false, false, false]);
  });

  it('is the newest once it asks, also before it is answered', () => {
    const { come } = start(3, false);
    const [asking, ...idle] = [come(), come(), come()];
    asking.asks();
    come();
    come();
    expect([asking, ...idle].map(({ socket }) => socket.destroyed)).toEqual([false, true, true]);
    asking.socket.destroy();
    asking.asks();
    expect(come().begun()).toBe(true);
  });

  it('ends where it was reset before anybody looked', () => {
    const { strangers } = start();
    const socket = new FakeSocket(undefined, 1);
    strangers.admit(socket as unknown as Socket, () => expect.fail('it began'));
    expect(socket.destroyed).toBe(true);
    expect(strangers).toMatchObject({ size: 0, ended: 1 });
  });

  it('is told what is left to say for a second where it was known and there is no room', () => {
    const { clock, come } = start(1);
    const runtime = come('10.0.0.1');
    const over = runtime.knows();
    const stranger = come('10.0.0.2');
    over();
    clock.advance(999);
    expect([runtime, stranger].map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    clock.advance(1);
    expect([runtime, stranger].map(({ socket }) => socket.destroyed)).toEqual([true, false]);
  });

  it('that was known takes no place of others for longer than that second, whoever comes meanwhile', () => {
    const { clock, strangers, come } = start(3);
    const fleet = [come(), come(), come()];
    const overs = fleet.map((runtime) => runtime.knows());
    for (const address of ['10.0.0.2', '10.0.0.2', '10.0.0.3']) come(address);
    for (const over of overs) over();
    expect(strangers.size).toBe(5);
    for (const address of ['10.0.0.4', '10.0.0.5', '10.0.0.6']) come(address);
    clock.advance(1_000);
    expect(strangers.size).toBe(3);
  });

  it('whatever happens: no more than there may be but those that were known a second ago, and nobody known is ended', () => {
    const address = fc.constantFrom('10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '::1');
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.oneof(
          fc.record({ kind: fc.constant('comes' as const), address }),
          fc.record({ kind: fc.constant('runtime' as const), address }),
        ),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constantFrom('known' as const, 'over' as const, 'over' as const, 'leaves' as const),
          at: fc.nat(1_000),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('time' as const),
          ms: fc.oneof(fc.nat(1_500), fc.nat(2 * patienceMs)),
        }),
      },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 80, size: 'max' }),
        (most, steps) => {
          const { clock, strangers, come } = start(most);
          type Came = ReturnType<typeof come>;
          const all: Came[] = [];
          const known = new Map<Came, (() => void)[]>();
          // Those that were known and found no place when their last stream was over, and when that was.
          const leaving = new Map<Came, number>();
          const isLeaving = (came: Came): boolean =>
            !came.socket.destroyed && clock.monotonic() - (leaving.get(came) ?? -1_000) < 1_000;
          // The bound: those with a place are `most` at most, and each of the others is gone after its second.
          const placed = (): number => strangers.size - all.filter(isLeaving).length;
          for (const one of steps) {
            if (one.kind === 'comes') all.push(come(one.address));
            else if (one.kind === 'time') clock.advance(one.ms);
            else if (one.kind === 'runtime') {
              const came = come(one.address);
              all.push(came);
              if (!came.socket.destroyed) known.set(came, [came.knows()]);
            } else {
              const there = all.filter(({ socket }) => !socket.destroyed);
              const came = there[one.at % there.length];
              if (came === undefined) continue;
              const [first, ...others] = known.get(came) ?? [];
              if (one.kind === 'known') {
                known.set(came, [...(known.get(came) ?? []), came.knows()]);
                leaving.delete(came);
              } else if (one.kind === 'over') {
                const before = strangers.size;
                known.set(came, others);
                first?.();
                if (strangers.size > before && placed() > most) leaving.set(came, clock.monotonic());
              } else {
                known.delete(came);
                came.socket.destroy();
              }
            }
            const open = all.filter(({ socket }) => !socket.destroyed);
            const isKnown = (came: Came): boolean => (known.get(came)?.length ?? 0) > 0;
            expect(strangers.size).toBe(open.filter((came) => !isKnown(came)).length);
            expect(placed()).toBeLessThanOrEqual(most);
            for (const came of all) if (isKnown(came)) expect(came.socket.destroyed).toBe(false);
          }
        },
      ),
    );
  });
});
