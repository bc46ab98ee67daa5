import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { adapter, at, planOf, targetOf } from '../../control/plans.fixture.ts';
import { Sender } from '../../control/sender.ts';
import type { Hello } from '../../gen/adaptlet/control/v1/control.ts';
import { type Plan, resourceKey } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { MemoryOperator, type MemoryStream, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const folder = folderOfTests();

const step = fc.oneof(
  // Versions of five adapters; 0: not in the plan.
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      of: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 5, maxLength: 5 }),
    }),
  },
  // Sends a batch, and lets the stream break after so many messages of it.
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), cutAfter: fc.option(fc.nat(6)) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

const planFor = (versions: readonly number[]): Plan =>
  planOf(...versions.flatMap((v, i) => (v === 0 ? [] : [adapter(`a-${i}`, { priority: v })])));

const versionsOf = (plan: Iterable<readonly [string, { readonly version: string }]>): string =>
  [...plan]
    .map(([key, { version }]) => `${key}@${version}`)
    .sort()
    .join(' ');

const senderFor = (hello: Hello): Sender =>
  new Sender({
    held: hello.heldHash.length > 0 ? { hash: hello.heldHash } : new Map(),
    revision: hello.revision ?? at(0),
    subscriptions: hello.subscriptions,
  });

let runs = 0;

it('comes to the newest plan over broken streams and restarts, and is never between two', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const data = join(folder, String(runs++));
      const operator = new MemoryOperator();
      const clock = new FakeClock();
      const start = () => startTestNode({ folder: data, dial: operator.dial, clock });
      let node = await start();
      let target = planFor([1, 1, 1, 1, 1]);
      let revision = 1;
      let lastSeq = 0n;
      const whole = new Set([versionsOf([])]);
      let stream: MemoryStream | undefined;
      let sender: Sender | undefined;

      const connect = async (): Promise<void> => {
        if (stream !== undefined && !stream.cancelled) return;
        stream = await waitFor('a stream', () => {
          const newest = operator.streams.at(-1);
          if (newest?.cancelled === false && newest.requests.length > 0) return newest;
          // Not so much that the stream that is being opened is given up.
          clock.advance(10_000);
          return undefined;
        });
        expect(stream.hello.connectionSeq).toBeGreaterThan(lastSeq);
        lastSeq = stream.hello.connectionSeq;
        sender = senderFor(stream.hello);
        stream.welcome();
      };
      const inForce = () =>
        versionsOf([...node.plan.table.adapters.values()].map((r) => [resourceKey(r), r]));
      const send = async (cutAfter: number | null): Promise<void> => {
        await connect();
        let batch = sender?.next(targetOf(target, at(revision)));
        if (sender?.asks() !== undefined) {
          const held = stream?.listed() ?? [];
          expect(sender.listed(new Map(held.map(({ key, version }) => [key, version])))).toBe(true);
          batch = sender.next(targetOf(target, at(revision)));
        }
        if (batch === undefined || stream === undefined) return;
        const messages = [
          ...batch.puts.map((r) => () => stream?.put(r)),
          ...batch.removes.map((key) => () => stream?.remove(key)),
        ];
        const cut = cutAfter !== null && cutAfter < messages.length + 1;
        for (const message of messages.slice(0, cutAfter ?? messages.length)) message();
        if (cut) stream.end();
        else {
          whole.add(versionsOf(target));
          const nonce = stream.commit(at(revision));
          await waitFor('the answer', () => stream?.acks.some((ack) => ack.nonce === nonce));
          sender?.acknowledged(nonce, []);
        }
        expect(whole).toContain(inForce());
      };

      try {
        for (const s of steps) {
          if (s.kind === 'change') {
            // At least three stay: what takes away most of the plan is held back, as other tests show.
            target = planFor(s.of.map((v, i) => (i < 3 ? Math.max(1, v) : v)));
            revision++;
          } else if (s.kind === 'send') await send(s.cutAfter);
          else {
            const before = inForce();
            await node.source.close();
            stream?.end();
            node = await start();
            expect(inForce()).toBe(before);
          }
        }
        await send(null);
        await settle();
        expect(inForce()).toBe(versionsOf(target));
      } finally {
        await node.source.close();
      }
    }),
    { numRuns: 25 },
  );
});
