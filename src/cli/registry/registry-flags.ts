import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Command } from 'commander';
import { readCredentials } from '../../artifact/docker-config.ts';
import { type ImageReference, parseReference } from '../../artifact/reference.ts';
import type { RegistryOptions } from '../../artifact/registry.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { readSettings } from '../../settings/settings.ts';
import { systemClock } from '../../time/clock.ts';
import { askCredentialHelper } from './credential-helper.ts';
import { useProxies } from './proxies.ts';

export type RegistryFlags = {
  readonly registryConfig?: string | undefined;
  readonly insecureRegistries?: string | undefined;
  readonly ca?: string | undefined;
  /** Of commands that only read. */
  readonly registryMirrors?: string | undefined;
};

const schema = settingsSchema.pick({ registryConfig: true, insecureRegistries: true });
const mirrorsSchema = settingsSchema.pick({ registryMirrors: true });

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
  withServerFlags(
    command.option(
      '--registry-config <file>',
      'a docker config.json with credentials [ADAPTLET_REGISTRY_CONFIG, default ~/.docker/config.json, or that of DOCKER_CONFIG]; its credential helpers are asked',
    ),
  );

/** For commands that write nothing: what a mirror has is no sign that its registry has it. */
export const withMirrorFlag = (command: Command): Command =>
  command.option(
    '--registry-mirrors <list>',
    'mirrors of registries, as docker.io=mirror.example:5000,cache.example;ghcr.io=mirror.example:5000; they are asked first for what a digest names [ADAPTLET_REGISTRY_MIRRORS]',
  );

/** For servers that are no registries. */
export const withServerFlags = (command: Command): Command =>
  command
    .option(
      '--insecure-registries <hosts>',
      'hosts that are reached over plain HTTP, separated by commas; loopback always is [ADAPTLET_INSECURE_REGISTRIES]',
    )
    .option(
      '--ca <file>',
      'PEM file of authorities that registries are trusted by, beside those of Node; NODE_EXTRA_CA_CERTS is the variable',
    );

/**
 * From here on, in the whole process: a command asks one registry.
 * @throws AdaptletError CONFIG_INVALID
 */
const trust = (file: string): void => {
  try {
    const text = readFileSync(file, 'utf8');
    const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    if (certificates.length === 0) throw new Error('it has no certificate in PEM');
    setDefaultCACertificates([...getCACertificates('default'), ...certificates]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('CONFIG_INVALID', `--ca ${file}: ${why}`, {
      advice: 'Name a PEM file with the certificate of the authority.',
      cause: error,
    });
  }
};

/** Credentials are those of the person who calls. */
export const registryOptionsOf = (
  flags: RegistryFlags,
  environment: Readonly<Record<string, string | undefined>>,
): RegistryOptions => {
  const { ca, registryMirrors: _, ...given } = flags;
  if (ca !== undefined) trust(ca);
  useProxies(environment);
  const { registryConfig, insecureRegistries } = readSettings(schema, given, environment);
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

/** The same, with mirrors, for who only reads. */
export const readingOptionsOf = (
  flags: RegistryFlags,
  environment: Readonly<Record<string, string | undefined>>,
): RegistryOptions => {
  const { registryMirrors } = flags;
  const { registryMirrors: mirrors } = readSettings(mirrorsSchema, { registryMirrors }, environment);
  return { ...registryOptionsOf(flags, environment), mirrors };
};
