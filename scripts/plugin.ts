/**
 * Builds `kubectl adaptlet` for people without a checkout. `make plugin` runs it.
 * Options: --base-url URL, where the archives will be; --out FOLDER; --platform linux-amd64, may be repeated.
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPlugin } from './plugin/build.ts';
import { nameOf, platforms } from './plugin/platforms.ts';

/** Nothing is published under it: whoever makes a release says where the archives are. */
const placeholder = 'https://downloads.example.invalid/adaptlet';

const { values } = parseArgs({
  options: {
    'base-url': { type: 'string', default: placeholder },
    out: { type: 'string', default: join(import.meta.dirname, '../dist/plugin') },
    platform: { type: 'string', multiple: true },
  },
});
const names = platforms.map(nameOf);
const wanted = values.platform ?? names;
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`there is no platform ${unknown.join(', ')}; use ${names.join(', ')}\n`);
  process.exit(1);
}
await buildPlugin({
  out: resolve(values.out),
  platforms: platforms.filter((platform) => wanted.includes(nameOf(platform))),
  baseUrl: values['base-url'],
  say: (text) => process.stdout.write(`${text}\n`),
});
if (values['base-url'] === placeholder)
  process.stdout.write(`adaptlet.yaml names ${placeholder}: give --base-url for a release\n`);
