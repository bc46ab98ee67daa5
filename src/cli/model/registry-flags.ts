import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { credentialsIn } from '../../artifact/docker-config.ts';
import { type ImageReference, parseReference } from '../../artifact/reference.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { readSettings } from '../../settings/settings.ts';
import { systemClock } from '../../time/clock.ts';

export type RegistryFlags = {
  readonly registryConfig?: string;
  readonly insecureRegistries?: string;
};

const schema = settingsSchema.pick({ registryConfig: true, insecureRegistries: true });

/** Attempts in a row without progress, and milliseconds without a sign of life. */
const attempts = 5;
const idleMs = 60_000;

const scheme = 'oci://';

/**
 * `oci://…`, which `serve` wants, is taken off.
 * @throws AdaptletError ARTIFACT_REFERENCE_INVALID
 */
export const imageOf = (reference: string): ImageReference =>
  parseReference(reference.startsWith(scheme) ? reference.slice(scheme.length) : reference);

export const withRegistryFlags = (command: Command): Command =>
  command
    .option(
      '--registry-config <file>',
      'a docker config.json with credentials [ADAPTLET_REGISTRY_CONFIG, default ~/.docker/config.json]',
    )
    .option(
      '--insecure-registries <hosts>',
      'hosts that are reached over plain HTTP, separated by commas; loopback always is [ADAPTLET_INSECURE_REGISTRIES]',
    );

/** Credentials are those of the person who calls. */
export const registryOptionsOf = (
  flags: RegistryFlags,
  environment: Readonly<Record<string, string | undefined>>,
): RegistryOptions => {
  const { registryConfig, insecureRegistries } = readSettings(schema, { ...flags }, environment);
  const docker = join(homedir(), '.docker/config.json');
  return {
    fetch,
    clock: systemClock,
    random: Math.random,
    attempts,
    idleMs,
    insecureHosts: insecureRegistries,
    credentials: credentialsIn(registryConfig ?? docker),
  };
};
