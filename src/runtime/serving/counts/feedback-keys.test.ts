import { expect, it } from 'vitest';
import { FeedbackKeys, type KeptKeys, keyOfNamespace } from './feedback-keys.ts';

const hex = (digit: string): string => digit.repeat(64);
const written = (kept?: KeptKeys) => {
  const all: KeptKeys[] = [];
  return { all, keys: new FeedbackKeys(kept, (now) => all.push(now)) };
};

it('a node without an operator makes a key of its own once, and has it after a restart', () => {
  const first = written();
  expect(first.all).toHaveLength(1);
  const [kept] = first.all;
  const again = written(kept);
  expect(again.all).toEqual([]);
  expect(again.keys.of('team-a')).toEqual(first.keys.of('team-a'));
  expect(again.keys.of('team-b')).not.toEqual(again.keys.of('team-a'));
  expect(written().keys.of('team-a')).not.toEqual(first.keys.of('team-a'));
});

it("an operator's key signs, and what was given before still verifies, also the node's own", () => {
  const { keys, all } = written({ own: hex('0'), given: [] });
  const own = keys.of('team-a')[0];
  keys.learn([{ namespace: '', key: hex('a') }]);
  const first = keyOfNamespace(Buffer.from(hex('a'), 'hex'), 'team-a');
  expect(keys.of('team-a')).toEqual([first, own]);
  keys.learn([
    { namespace: '', key: hex('b') },
    { namespace: '', key: hex('c') },
  ]);
  expect(keys.of('team-a').slice(2)).toEqual([first, own]);
  const { length } = all;
  keys.learn([
    { namespace: '', key: hex('b') },
    { namespace: '', key: hex('c') },
  ]);
  expect(all).toHaveLength(length);
  expect(written(all.at(-1)).keys.of('team-a')).toEqual(keys.of('team-a'));
});

it('a key of one namespace is that of the fleet, and of no other namespace', () => {
  const root = Buffer.from(hex('a'), 'hex');
  const { keys } = written({ own: hex('0'), given: [] });
  keys.learn([{ namespace: 'team-a', key: keyOfNamespace(root, 'team-a').toString('hex') }]);
  expect(keys.of('team-a')[0]).toEqual(keyOfNamespace(root, 'team-a'));
  expect(keys.of('team-b')).toHaveLength(1);
});

it('keeps a bounded number of them', () => {
  const { keys } = written({ own: hex('0'), given: [] });
  for (const digit of '123456789abcdef') keys.learn([{ namespace: '', key: hex(digit) }]);
  expect(keys.of('team-a')).toHaveLength(9);
});
