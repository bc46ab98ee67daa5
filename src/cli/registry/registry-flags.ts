import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readCredentials } from '../../artifact/docker-config.ts';
import { type ImageReference, parseReference } from '../../artifact/reference.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { readSettings } from '../../settings/settings.ts';
import { systemClock } from '../../time/clock.ts';
import { askCredentialHelper } from './credential-helper.ts';

export type RegistryFlags = {
  readonly registryConfig?: string;
  readonly insecureRegistries?: string;
};

const schema = settingsSchema.pick({ registryConfig: true, insecureRegistries: true });

/** Attempts in a row without progress, and milliseconds without a sign of life. */
const attempts = 5;
const idleMs = 60_000;

const scheme = 'oci://';

/** Docker's reading of a name without a registry: it is on Docker Hub, and below `library/` where it has one part. */
const completed = (reference: string): string => {
  const [first = '', ...rest] = reference.split('/');
  if (rest.length === 0) return `docker.io/library/${reference}`;
  const isRegistry = /[.:]/.test(first) || first === 'localhost';
  if (!isRegistry) return `docker.io/${reference}`;
  return first === 'docker.io' && rest.length === 1 ? `docker.io/library/${rest[0]}` : reference;
};

/**
 * `oci://…`, which `serve` wants, is taken off; a short name is completed as docker does.
 * @throws AdaptletError ARTIFACT_REFERENCE_INVALID
 */
export const imageOf = (reference: string): ImageReference =>
  parseReference(completed(reference.startsWith(scheme) ? reference.slice(scheme.length) : reference));

export const withRegistryFlags = (command: Command): Command =>
  command
    .option(
      '--registry-config <file>',
      'a docker config.json with credentials [ADAPTLET_REGISTRY_CONFIG, default ~/.docker/config.json, or that of DOCKER_CONFIG]; its credential helpers are asked',
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
  const docker = join(environment['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json');
  const config = registryConfig ?? docker;
  return {
    fetch,
    clock: systemClock,
    random: Math.random,
    attempts,
    idleMs,
    insecureHosts: insecureRegistries,
    credentials: async (registry, repository) =>
      (await askCredentialHelper(config, registry)) ?? (await readCredentials(config, registry, repository)),
  };
};
