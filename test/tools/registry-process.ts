import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A registry on a loopback port. */
export type RegistryProcess = AsyncDisposable & { readonly host: string };

export type RegistryAuth = {
  readonly kind: 'basic' | 'bearer';
  readonly user: string;
  readonly password: string;
};

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
};

/** Starts the registry that `tool('registry')` built; blobs lie in `dir`, or in memory without it. */
export const startRegistry = async (
  binary: string,
  options: {
    readonly dir?: string;
    readonly auth?: RegistryAuth;
    /** Files of a certificate and its key: HTTPS is served. */
    readonly tls?: { readonly certificate: string; readonly key: string };
  } = {},
): Promise<RegistryProcess> => {
  const { dir, auth, tls } = options;
  if (dir !== undefined) await mkdir(dir, { recursive: true });
  const args = [
    ...(dir === undefined ? [] : ['-dir', dir]),
    ...(tls === undefined ? [] : ['-cert', tls.certificate, '-key', tls.key]),
    ...(auth === undefined ? [] : ['-auth', auth.kind, '-user', auth.user, '-password', auth.password]),
  ];
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  for await (const host of lines) return { host, [Symbol.asyncDispose]: () => ended(child) };
  throw new Error('the registry ended before it listened');
};

/**
 * Who may use the registry that {@link startDistribution} starts. It takes passwords as bcrypt alone, which Node cannot make:
 * this is a test vector of crypt_blowfish.
 */
export const distributionAuth: RegistryAuth = { kind: 'basic', user: 'edge', password: 'U*U' };
const htpasswd = 'edge:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n';

/** Starts the registry that `tool('distribution')` built, with its data in `dir`, for {@link distributionAuth}. */
export const startDistribution = async (binary: string, dir: string): Promise<RegistryProcess> => {
  await mkdir(dir, { recursive: true });
  const passwords = join(dir, 'htpasswd');
  await writeFile(passwords, htpasswd);
  const config = join(dir, 'config.json');
  // JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { accesslog: { disabled: true }, level: 'info', formatter: 'text' },
      storage: { filesystem: { rootdirectory: join(dir, 'data') } },
      http: { addr: '127.0.0.1:0', secret: 'of a test', relativeurls: true },
      auth: { htpasswd: { realm: 'test', path: passwords } },
    }),
  );
  const child = spawn(binary, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = createInterface({ input: child.stderr });
  for await (const line of lines) {
    const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (host === undefined) continue;
    // What it says from here on is not kept; a pipe that nobody reads would stop it.
    child.stderr.resume();
    return { host, [Symbol.asyncDispose]: () => ended(child) };
  }
  throw new Error('the registry ended before it listened');
};
