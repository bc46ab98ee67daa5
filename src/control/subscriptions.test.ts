import { expect, it } from 'vitest';
import { maxSubscriptions, Subscriptions } from './subscriptions.ts';

it('remembers names, and says when the set is another', () => {
  const names = new Subscriptions(['team-a/sql']);
  expect([names.use('team-a/sql'), names.use('team-a/Med_1'), names.use('team-a/Med_1')]).toEqual([
    false,
    true,
    false,
  ]);
  expect(names.names).toEqual(['team-a/sql', 'team-a/Med_1']);
  names.forget(['team-a/sql']);
  expect([names.has('team-a/sql'), names.use('team-a/sql')]).toEqual([false, true]);
});

it('gives up the name that was not used for longest when it is full', () => {
  const names = new Subscriptions(['ns/a', 'ns/b', 'ns/c'], 3);
  names.use('ns/a');
  names.use('ns/d');
  expect(names.names).toEqual(['ns/c', 'ns/a', 'ns/d']);
});

it('is bounded, whatever an earlier process remembered', () => {
  const many = Array.from({ length: 3 * maxSubscriptions }, (_, index) => `ns/n-${index}`);
  const { names } = new Subscriptions(many);
  expect([names.length, names.at(-1)]).toEqual([maxSubscriptions, many.at(-1)]);
});

it.each([
  '',
  'sql',
  '/sql',
  'ns/',
  'ns/a/b',
  'NS/a',
  '../x',
  'ns/..',
  'ns/a b',
  'ns/a\n',
  'ns/-a',
  `ns/${'a'.repeat(300)}`,
])('takes no name like %j', (name) => {
  const names = new Subscriptions();
  expect([names.use(name), names.names]).toEqual([false, []]);
});
