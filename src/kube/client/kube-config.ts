import { registerHooks } from 'node:module';
import { clientNames } from './client-names.ts';

const { importer, specifier: client, mark, source } = clientNames;

/**
 * The library's way to a cluster and its credentials, without its generated client of every API: that is 830 modules, 41 MiB and 0.4 s, of
 * which nothing is called. The library has no entry without them, so its config.js finds what it takes of them and no more. Others who import
 * the library have all of it.
 */
const loadConfig = async () => {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      const isAsked = specifier === client && context.parentURL?.endsWith(importer) === true;
      return isAsked ? { ...resolved, url: `${resolved.url}${mark}` } : resolved;
    },
    load: (url, context, next) =>
      url.endsWith(`${client.slice(1)}${mark}`)
        ? { format: 'module', shortCircuit: true, source }
        : next(url, context),
  });
  try {
    return await import('@kubernetes/client-node/dist/config.js');
  } finally {
    hooks.deregister();
  }
};

export const { KubeConfig } = await loadConfig();
export type KubeConfig = InstanceType<typeof KubeConfig>;
