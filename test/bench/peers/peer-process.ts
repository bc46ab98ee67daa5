import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { LotAsk, Peer } from './peer.ts';

const timedSchema = z.object({ atMs: z.array(z.number()), ids: z.array(z.number()) });
const togetherSchema = z.object({ answers: z.array(timedSchema) });
const msSchema = z.object({ ms: z.number() });
const keptLines = 20;

export type PeerProcessOptions = {
  readonly env?: Readonly<Record<string, string>>;
  /** It answers requests for several adapters in one batch. */
  readonly together?: boolean;
};

/** Starts a peer that answers one JSON object a line, as protocol.py does; resolves once its model is loaded. */
export const startPeerProcess = async (
  program: string,
  args: readonly string[],
  { env = {}, together = false }: PeerProcessOptions = {},
): Promise<Peer> => {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  const said: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    said.push(line);
    if (said.length > keptLines) said.shift();
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(schema: z.ZodType<T>): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`${program} ${args[0]} ended:\n${said.join('\n')}`);
    return schema.parse(JSON.parse(line.value));
  };
  const ask = async <T>(question: object, schema: z.ZodType<T>): Promise<T> => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    return await answer(schema);
  };
  // One that ended says why when it is asked.
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'exit');
  await answer(msSchema);
  return {
    pid: child.pid ?? -1,
    load: async (name, file) => (await ask({ do: 'load', name, file }, msSchema)).ms,
    unload: async (name) => void (await ask({ do: 'unload', name }, msSchema)),
    generate: (adapter, ids, tokens) => ask({ do: 'generate', adapter, ids, tokens }, timedSchema),
    ...(together && {
      generateTogether: async (asks: readonly LotAsk[], tokens: number) => {
        const adapters = asks.map(({ adapter }) => adapter);
        const ids = asks.map((one) => one.ids);
        return (await ask({ do: 'together', adapters, ids, tokens }, togetherSchema)).answers;
      },
    }),
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
};
