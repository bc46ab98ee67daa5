import { join } from 'node:path';
import { build } from 'esbuild';

/** Writes the plugin as one file of JavaScript, which `node FILE` runs with nothing beside it. */
export const bundlePlugin = async (file: string): Promise<void> => {
  await build({
    entryPoints: [join(import.meta.dirname, 'main.ts')],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    // Packages in CommonJS ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    define: { __dirname: '"/"' },
  });
};
