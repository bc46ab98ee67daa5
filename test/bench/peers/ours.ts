import type { EngineOptions } from '../../../src/runtime/engine/client/client.ts';
import type { EngineInfo } from '../../../src/runtime/engine/engine.ts';
import { benchEngine, compileFor, timedAnswer } from '../base.ts';
import { noEnd } from '../traffic/no-end.ts';
import type { LotAsk, PeerKind } from './peer.ts';

export type OursOptions = {
  /** Threads wait busily within a step, as a node's and GenAI's do by default; it counts from two threads on. */
  readonly spin: boolean;
  /** Sequences that decode together. Above 1 answers never end before they have all tokens, as the others' do not. */
  readonly rows?: number;
  /** Room for adapters, for keys and values; where weights are prepared. */
  readonly engine?: Partial<Pick<EngineOptions, 'adapterBudgetBytes' | 'kvBudgetBytes' | 'cacheDir'>>;
};

/** The engine process as a node uses it: messages between processes, text and sampling included. */
export const ours = (modelDir: string, { spin, rows = 1, engine: more = {} }: OursOptions): PeerKind => {
  const common = { modelDir, adapterBudgetBytes: 256 << 20, ...more };
  let info: EngineInfo | undefined;
  return {
    name: spin ? 'adaptlet' : 'adaptlet-no-spin',
    what: `the engine process of this repository${spin ? '' : ', without spinning'}`,
    ...(spin ? {} : { onlyThreads: [2] }),
    install: async () => {
      await using engine = await benchEngine({ ...common, threads: 1 });
      info = engine.info();
    },
    adapterFile: async (peftFolder, out) => {
      if (info === undefined) throw new Error('adapters are compiled after install');
      return (await compileFor(info, peftFolder, `${out}.bin`)).file;
    },
    start: async (threads) => {
      const engine = await benchEngine({ ...common, threads, spin, maxConcurrent: rows, maxQueue: rows });
      const answer = (adapter: string | null, ids: readonly number[], tokens: number) =>
        timedAnswer(engine, adapter, { kind: 'ids', ids }, tokens, rows > 1 ? noEnd(modelDir) : {});
      return {
        pid: engine.pid ?? -1,
        load: async (name, file) => {
          const started = performance.now();
          await engine.load(name, file);
          return performance.now() - started;
        },
        unload: (name) => engine.unload(name),
        generate: answer,
        ...(rows > 1 && {
          generateTogether: (asks: readonly LotAsk[], tokens: number) =>
            Promise.all(asks.map(({ adapter, ids }) => answer(adapter, ids, tokens))),
        }),
        close: () => engine.close(),
      };
    },
  };
};
