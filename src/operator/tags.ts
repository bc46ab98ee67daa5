import { credentialsIn } from '../artifact/docker-config.ts';
import { parseReference } from '../artifact/reference.ts';
import { Registry } from '../artifact/registry.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import type { Resolve } from './adapter/resolver.ts';
import type { OperatorSettings } from './settings.ts';

/** The resolver repeats what fails, with a backoff of its own for each registry. */
const attempts = 1;
const idleMs = 20_000;

/** Asks OCI registries what their tags mean now. */
export const tagResolver = (
  { registryConfig, insecureRegistries }: Pick<OperatorSettings, 'registryConfig' | 'insecureRegistries'>,
  {
    clock,
    random,
    fetch,
  }: { readonly clock: Clock; readonly random: () => number; readonly fetch: typeof globalThis.fetch },
): Resolve => {
  const registry = new Registry({
    fetch,
    clock,
    random,
    attempts,
    idleMs,
    insecureHosts: insecureRegistries,
    // A tenant names the registry, and this machine is not its own.
    insecureLoopback: false,
    credentials: credentialsIn(registryConfig),
  });
  return async (image, signal) => {
    const reference = parseReference(image);
    const tag = reference.tag ?? 'latest';
    const digest = await registry.resolve(reference, tag, signal);
    if (digest === undefined) throw new AdaptletError('ARTIFACT_NOT_FOUND', `${image} does not exist`);
    return digest;
  };
};
