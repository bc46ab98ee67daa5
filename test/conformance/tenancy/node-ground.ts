import { TestNode } from '../../support/node.ts';
import type { Ground } from './stage.ts';

const path = (below: string): object => ({ path: { path: below } });

/** A node that follows a folder of manifests. */
export const startNodeGround = async (): Promise<Ground & AsyncDisposable> => {
  const node = await TestNode.start({
    settings: { namespace: 'team-b', 'http-metrics': 'off', 'max-queue': '16' },
  });
  return {
    place: 'node',
    http: node.http,
    grpc: node.grpc,
    sources: {
      victim: path('adapters/upper'),
      own: (name) => path(`adapters/${name}`),
      users: path('adapters/{user}'),
      allowed: { paths: ['adapters'] },
      outside: path('variants/none'),
    },
    apply: (manifests) =>
      node.write('all.yaml', manifests.map((one) => `${JSON.stringify(one)}\n---\n`).join('')),
    stateOf: async (key) => {
      const { adapters } = await node.client.status();
      return adapters.find((adapter) => adapter.key === key)?.state;
    },
    [Symbol.asyncDispose]: () => node.dispose(),
  };
};
