import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { peerOrder } from '../../artifact/peer-site.ts';
import { mostPeers, peerAnnotation, Sites, type SitesOptions } from './sites.ts';

/** Runtimes that join, move and leave. */
const start = (count: number) => {
  const known = new Map<string, object>();
  let tell: (change: { readonly key: ObjectKey }) => void = () => undefined;
  const runtimes = {
    list: () => [...known.values()],
    get: (key: string) => known.get(key),
    onChange: (listener: typeof tell) => {
      tell = listener;
      return () => undefined;
    },
  } as unknown as SitesOptions['runtimes'];
  const put = (name: string, zone: string, address = '10.0.0.1:9446'): void => {
    const key = `ns/${name}` as ObjectKey;
    const metadata = { labels: { zone }, annotations: { [peerAnnotation]: address } };
    known.set(key, { key, metadata });
    tell({ key });
  };
  const names = Array.from({ length: count }, (_, index) => `node-${index}`);
  for (const name of names) put(name, 'hall');
  const sites = new Sites({ runtimes, label: 'zone', namespaces: new Set(['ns']) });
  const told = (asker: string, what = 'r.test/team/sql', site = 'hall') =>
    sites.peersOf(`ns/${asker}` as ObjectKey, site, what).map(({ runtime }) => String(runtime));
  const keys = names.map((name) => `ns/${name}`);
  return { put, sites, told, keys };
};

describe('the runtimes of a large site that one is told of', () => {
  it('are the same as who asks, who joins, moves and leaves', () => {
    const { put, told, keys } = start(60);
    const firstOf = (all: readonly string[], asker: string): readonly string[] =>
      peerOrder(
        'r.test/team/sql',
        all.filter((key) => key !== `ns/${asker}`),
      ).slice(0, mostPeers);
    for (const asker of ['node-1', 'node-2', 'stranger']) expect(told(asker)).toEqual(firstOf(keys, asker));
    const [first = ''] = told('stranger');
    put(first.slice('ns/'.length), 'barn');
    const left = keys.filter((key) => key !== first);
    expect(told('stranger')).toEqual(firstOf(left, 'stranger'));
    put('late', 'hall');
    expect(told('stranger')).toEqual(firstOf([...left, 'ns/late'], 'stranger'));
    expect(told('stranger', 'r.test/team/sql', 'barn')).toEqual([first]);
  });

  it('are told with the address that they have now', () => {
    const { put, sites, told } = start(60);
    const [first = ''] = told('stranger');
    put(first.slice('ns/'.length), 'hall', '10.0.0.9:9446');
    const [peer] = sites.peersOf('ns/stranger' as ObjectKey, 'hall', 'r.test/team/sql');
    expect(peer).toEqual({ runtime: first, address: '10.0.0.9:9446' });
  });

  it('are found once for all who fetch the same', () => {
    const { told } = start(4_000);
    const begun = performance.now();
    for (let asked = 0; asked < 1_000; asked++) told(`node-${asked}`);
    expect(performance.now() - begun).toBeLessThan(2_500);
  });
});
