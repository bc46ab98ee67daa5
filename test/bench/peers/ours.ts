import type { EngineInfo } from '../../../src/runtime/engine/engine.ts';
import { benchEngine, compileFor, timedAnswer } from '../base.ts';
import type { PeerKind } from './peer.ts';

/** Room for what the bench has loaded at a time. */
const adapterBudgetBytes = 256 << 20;

/**
 * The engine process as a node uses it: messages between processes, text and sampling included. `spin`: threads
 * wait busily within a step, as a node's and GenAI's do by default; it makes a difference from two threads on.
 */
export const ours = (modelDir: string, spin: boolean): PeerKind => {
  let info: EngineInfo | undefined;
  return {
    name: spin ? 'adaptlet' : 'adaptlet-no-spin',
    what: `the engine process of this repository${spin ? '' : ', without spinning'}`,
    ...(spin ? {} : { onlyThreads: [2] }),
    install: async () => {
      await using engine = await benchEngine({ modelDir, adapterBudgetBytes, threads: 1 });
      info = engine.info();
    },
    adapterFile: async (peftFolder, out) => {
      if (info === undefined) throw new Error('adapters are compiled after install');
      return (await compileFor(info, peftFolder, `${out}.bin`)).file;
    },
    start: async (threads) => {
      const engine = await benchEngine({ modelDir, adapterBudgetBytes, threads, spin });
      return {
        pid: engine.pid ?? -1,
        load: async (name, file) => {
          const started = performance.now();
          await engine.load(name, file);
          return performance.now() - started;
        },
        unload: (name) => engine.unload(name),
        generate: (adapter, ids, tokens) => timedAnswer(engine, adapter, { kind: 'ids', ids }, tokens),
        close: () => engine.close(),
      };
    },
  };
};
