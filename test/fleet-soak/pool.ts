import { moon } from '../support/moon.ts';
import { hasRegistry, TestRegistry } from '../support/registry.ts';
import { connectTo, startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { makeVersions } from '../support/versions.ts';
import type { SoakRollout } from './names.ts';

/** A content that adapters of a rollout may have, and what it answers to "moon:". */
export type Content = { readonly digest: string; readonly text: string; readonly source: object };

/** Contents of a rollout: so many versions later one comes again, as another Adapter. */
const perRollout = 12;
/** Of those that come from the registry. */
const perRemote = 8;
const kinds = ['upper', 'reverse', 'digits', 'hello'] as const;

export type Pool = AsyncDisposable & {
  readonly contents: ReadonlyMap<SoakRollout, readonly Content[]>;
  /** Text by digest. */
  readonly texts: ReadonlyMap<string, string>;
  /** In front of the registry; undefined where there is none. */
  readonly proxy: TcpProxy | undefined;
};

const kindOf = (index: number) => kinds[index % kinds.length] ?? 'upper';

/** Makes the contents of all rollouts, each with a digest of its own: no answer can be taken for one of another name. */
export const makePool = async (root: string, rollouts: readonly SoakRollout[]): Promise<Pool> => {
  const stack = new AsyncDisposableStack();
  const registry = hasRegistry ? stack.use(await TestRegistry.start()) : undefined;
  const port = Number(registry?.host.split(':')[1]);
  const proxy = registry === undefined ? undefined : stack.use(await startTcpProxy(() => connectTo(port)));
  const contents = new Map<SoakRollout, Content[]>();
  for (const rollout of rollouts) {
    const name = rollout.key.replace('/', '-');
    const made: Content[] = [];
    if (rollout.isRemote && registry !== undefined) {
      for (let i = 0; i < perRemote; i++) {
        const digest = await registry.push(`${name}:v${i}`, kindOf(i), `${name}-${i}`);
        const image = `127.0.0.1:${proxy?.port}/${name}@${digest}`;
        made.push({ digest, text: moon[kindOf(i)], source: { oci: { image } } });
      }
    } else {
      const names = Array.from({ length: perRollout }, (_, i) => `${name}-c${i}`);
      for (const [i, version] of (await makeVersions(root, names)).entries())
        made.push({
          digest: version.digest,
          text: moon[kindOf(i)],
          source: { path: { path: version.name } },
        });
    }
    contents.set(rollout, made);
  }
  const texts = new Map([...contents.values()].flat().map(({ digest, text }) => [digest, text]));
  return { contents, texts, proxy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};
