import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, launch } from 'puppeteer-core';
import { debianRoot } from './debian-root.ts';

const execute = promisify(execFile);
const name = 'chromium-headless-shell';
const wanted = [name, 'fonts-dejavu-core'];

export type Chromium = { readonly path: string; readonly env: Readonly<Record<string, string>> };

/**
 * Chromium without a screen: `/usr/bin/chromium` where it is installed, else out of Debian's packages, with the libraries that
 * this machine lacks, none of which is installed. Undefined where apt does not have it.
 */
export const chromium = async (): Promise<Chromium | undefined> => {
  if (existsSync('/usr/bin/chromium')) return { path: '/usr/bin/chromium', env: {} };
  try {
    const { stdout } = await execute('apt-get', ['-s', 'install', '--no-install-recommends', ...wanted]);
    const missing = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, lacking = '']) => lacking);
    if (missing.length === 0) return { path: `/usr/bin/${name}`, env: {} };
    const root = await debianRoot(missing.toSorted());
    const { stdout: triplet } = await execute('dpkg-architecture', ['-qDEB_HOST_MULTIARCH']).catch(() => ({
      stdout: process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu',
    }));
    const libraries = join(root, 'usr/lib', triplet.trim());
    return {
      // What lies in /usr/bin is a script that looks for it in the root of the machine.
      path: join(root, 'usr/lib/chromium', name),
      env: { LD_LIBRARY_PATH: `${libraries}:${join(libraries, 'pulseaudio')}` },
    };
  } catch (error) {
    process.stderr.write(`Chromium could not be taken from apt (apt-get update?): ${String(error)}\n`);
    return undefined;
  }
};

/** Starts it without anything on a screen. */
export const startBrowser = ({ path, env }: Chromium): Promise<Browser> =>
  launch({
    executablePath: path,
    env: { ...process.env, ...env },
    args: ['--no-sandbox', '--disable-gpu'],
    headless: 'shell',
  });
