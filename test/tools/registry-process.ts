import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
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
  options: { readonly dir?: string; readonly auth?: RegistryAuth } = {},
): Promise<RegistryProcess> => {
  const { dir, auth } = options;
  if (dir !== undefined) await mkdir(dir, { recursive: true });
  const args = [
    ...(dir === undefined ? [] : ['-dir', dir]),
    ...(auth === undefined ? [] : ['-auth', auth.kind, '-user', auth.user, '-password', auth.password]),
  ];
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  for await (const host of lines) return { host, [Symbol.asyncDispose]: () => ended(child) };
  throw new Error('the registry ended before it listened');
};
