import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SyncRequest } from '../../gen/adaptlet/control/v1/control.ts';
import { Outbox } from './outbox.ts';

/** An outbox over a stream that takes one message at a time, when `flow` is called. */
const make = () => {
  const sent: SyncRequest[] = [];
  let free: (() => void) | undefined;
  let names: string[] = [];
  const outbox = new Outbox(
    (message, done) => {
      sent.push(message);
      free = done;
    },
    {
      held: () => ({ held: [], sameParts: [] }),
      subscribe: () => ({ names: [...names] }),
      report: () => undefined,
    },
  );
  const flow = () => {
    const done = free;
    free = undefined;
    done?.();
  };
  const cases = () => sent.map(({ message }) => message?.$case);
  return { outbox, sent, flow, cases, name: (n: string) => (names = [...names, n]) };
};

describe('the outbox', () => {
  it('sends each question, after answers and before what is state', () => {
    const { outbox, flow, cases } = make();
    const request = { id: 1n, key: 'team-a/sql', image: 'r/a:v1', secret: 'login', refused: false };
    outbox.subscribe();
    outbox.subscribe();
    for (const id of [1n, 2n]) outbox.ask({ $case: 'credential', value: { ...request, id } });
    outbox.ack({ nonce: 1n, refused: [] });
    for (let i = 0; i < 5; i++) flow();
    expect(cases()).toEqual(['subscribe', 'ack', 'credential', 'credential', 'subscribe']);
  });

  it('sends the newest names once, however often they changed while the stream took nothing', () => {
    const { outbox, sent, flow, name } = make();
    outbox.ack({ nonce: 1n, refused: [] });
    for (const n of ['a', 'b', 'c']) {
      name(n);
      outbox.subscribe();
    }
    expect(sent).toHaveLength(1);
    flow();
    flow();
    expect(sent.map(({ message }) => message)).toEqual([
      { $case: 'ack', value: { nonce: 1n, refused: [] } },
      { $case: 'subscribe', value: { names: ['a', 'b', 'c'] } },
    ]);
  });

  it('sends answers before all else, each of them, in order', () => {
    const { outbox, flow, cases, sent } = make();
    outbox.subscribe();
    outbox.subscribe();
    outbox.ack({ nonce: 1n, refused: [] });
    outbox.ack({ nonce: 2n, refused: [] });
    for (let turn = 0; turn < 5; turn++) flow();
    expect(cases()).toEqual(['subscribe', 'ack', 'ack', 'subscribe']);
    expect(sent[1]?.message).toMatchObject({ value: { nonce: 1n } });
  });

  it('is silent after it was closed', () => {
    const { outbox, flow, sent } = make();
    outbox.subscribe();
    outbox.close();
    outbox.subscribe();
    flow();
    expect(sent).toHaveLength(1);
  });

  it('has one message under way at most and ends with the newest state, whatever comes in which order', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('ack', 'name', 'flow')), (steps) => {
        const { outbox, sent, flow, name } = make();
        let nonce = 0n;
        let named = 0;
        let flowed = 0;
        for (const step of steps) {
          if (step === 'ack') outbox.ack({ nonce: (nonce += 1n), refused: [] });
          else if (step === 'name') {
            name(`n${(named += 1)}`);
            outbox.subscribe();
          } else {
            flow();
            flowed++;
          }
          expect(sent.length).toBeLessThanOrEqual(flowed + 1);
        }
        for (let turn = 0; turn < steps.length + 2; turn++) flow();
        const acks = sent.flatMap(({ message }) => (message?.$case === 'ack' ? [message.value.nonce] : []));
        expect(acks).toEqual(Array.from({ length: Number(nonce) }, (_, i) => BigInt(i + 1)));
        const last = sent.findLast(({ message }) => message?.$case === 'subscribe')?.message;
        if (named > 0)
          expect(last?.value).toMatchObject({ names: Array.from({ length: named }, (_, i) => `n${i + 1}`) });
      }),
    );
  });
});
