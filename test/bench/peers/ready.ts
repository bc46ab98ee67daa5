import { cp, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { dropFolderFromPageCache } from '../page-cache.ts';
import { quantile } from '../report.ts';
import { shuffler } from '../rounds.ts';
import { firstMs, type Peer } from './peer.ts';
import type { PeerFiles, Running } from './running.ts';
import type { Series } from './series.ts';

const freshCopy = async (from: string, to: string): Promise<string> => {
  const copy = to + extname(from);
  await cp(from, copy, { recursive: true });
  return copy;
};

const first = async (peer: Peer, adapter: string, prompt: readonly number[]): Promise<number> =>
  firstMs(await peer.generate(adapter, prompt, 1));

/**
 * From a file of an adapter out of the page cache to the first token, less the time to the first token when the adapter
 * is loaded. A fresh copy each time: peers remember paths and keep files mapped.
 */
export const readyRounds = async (
  peers: readonly Running[],
  prompt: readonly number[],
  options: {
    readonly folder: string;
    readonly rounds: number;
    readonly series: Series;
    /** By the adapter's size, which is in the keys of the numbers. */
    readonly files: ReadonlyMap<string, PeerFiles>;
  },
): Promise<number> => {
  let pagesLeft = 0;
  const { folder, rounds, series, files } = options;
  const shuffle = shuffler(99);
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, peer } of shuffle(peers)) {
      for (const [size, ofPeers] of files) {
        const file = ofPeers.get(name);
        if (file === undefined) continue;
        const adapter = `${size}-${round}`;
        const copy = await freshCopy(file, join(folder, `${name}-${adapter}`));
        pagesLeft += await dropFolderFromPageCache(copy);
        const load = await peer.load(adapter, copy);
        const cold = load + (await first(peer, adapter, prompt));
        const resident = quantile(
          [
            await first(peer, adapter, prompt),
            await first(peer, adapter, prompt),
            await first(peer, adapter, prompt),
          ],
          0.5,
        );
        series.add(`ready_${size}_${name}`, cold - resident);
        await peer.unload(adapter);
        await rm(copy, { recursive: true });
      }
    }
    console.error(`peers: ready, round ${round} of ${rounds}`);
  }
  return pagesLeft;
};
