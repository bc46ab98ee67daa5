/**
 * How config.js of client-node, its way to a cluster, names the generated client, and the two names of it that it takes. Node's loader
 * (kube-config.ts) and the bundle of the image (image/bundle/bundle.ts) give it these alone.
 */
export const clientNames = {
  importer: '/client-node/dist/config.js',
  specifier: './gen/index.js',
  /** Behind the address of the module, which others have whole. */
  mark: '?of=config',
  source:
    "export { createConfiguration } from './configuration.js'; export { ServerConfiguration } from './servers.js';",
} as const;
