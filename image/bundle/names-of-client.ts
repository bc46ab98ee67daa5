import { dirname, join } from 'node:path';
import type { Plugin } from 'esbuild';
import { clientNames } from '../../src/kube/client/client-names.ts';

/** For bundles with src/kube/client/kube-config.ts: what that file does where the sources run is done as they are made. */
export const namesOfClient: Plugin = {
  name: 'names-of-client',
  setup(building) {
    const { importer, specifier, mark, source } = clientNames;
    building.onLoad({ filter: /[\\/]src[\\/]kube[\\/]client[\\/]kube-config\.ts$/ }, () => ({
      contents: `export { KubeConfig } from '@kubernetes${importer}';`,
      loader: 'ts',
    }));
    building.onResolve({ filter: /^\.\/gen\/index\.js$/ }, (asked) =>
      asked.path === specifier && asked.importer.endsWith(importer)
        ? { path: join(asked.resolveDir, specifier), suffix: mark }
        : undefined,
    );
    building.onLoad({ filter: /[\\/]gen[\\/]index\.js$/ }, ({ path, suffix }) =>
      suffix === mark ? { contents: source, resolveDir: dirname(path), loader: 'js' } : undefined,
    );
  },
};
