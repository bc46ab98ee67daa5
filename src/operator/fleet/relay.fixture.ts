import { RuntimeReport } from '../../gen/adaptlet/control/v1/control.ts';
import { placeOf } from '../../rollout/judge/told-rewards.ts';
import type { RuntimeKey } from './fleet.ts';
import { RelayNews } from './relay-news.ts';
import { RelayedRuntimes } from './relay-server.ts';
import type { FleetStore } from './store.ts';

/** One stream from a replica to a leader, over the bytes of messages. The test says when what is due goes. */
export class TestRelay {
  readonly #news: RelayNews;
  readonly #heard: RelayedRuntimes;
  readonly #stop: () => void;

  constructor(from: FleetStore, to: FleetStore) {
    this.#news = new RelayNews(from);
    this.#news.readsExamples();
    this.#stop = from.onLocal((event) => this.#news.note(event));
    this.#heard = new RelayedRuntimes(to, { name: 'b' });
    this.#heard.take({ message: { $case: 'hello', value: { replica: 'b' } } });
  }

  /** Tells what is due. `arrives`: whether the leader reads it. The result is the bytes that were sent of runtimes. */
  flush(arrives = true): number {
    let bytes = 0;
    for (const message of this.#news.messages()) {
      if (message.$case !== 'runtime') {
        if (arrives) this.#heard.take({ message });
        continue;
      }
      const sent = RuntimeReport.encode(message.value).finish();
      bytes += sent.length;
      if (arrives) this.#heard.take({ message: { $case: 'runtime', value: RuntimeReport.decode(sent) } });
    }
    return bytes;
  }

  /** The stream is over, as both ends see. */
  cut(): void {
    this.#stop();
    this.#heard.close();
  }
}

/** What a store knows of the rollouts of a runtime, whatever the order in which it was told of weights and of answers. */
export const rolloutsKnown = (fleet: FleetStore, key: RuntimeKey) =>
  new Map(
    [...(fleet.get(key)?.rollouts ?? [])].map(([name, { counts, elsewhere, ...rest }]) => {
      const rewards = (elsewhere?.unpacked() ?? []).flatMap(({ origin, weight, rewards: all }) =>
        all.map((one) => [`${placeOf(origin, weight)} ${one.number}`, one] as const),
      );
      return [
        name,
        { ...rest, counts: new Map(counts.map((one) => [one.weight, one])), rewards: new Map(rewards) },
      ];
    }),
  );
