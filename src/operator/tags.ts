import { verifyInRegistry } from '../artifact/bundles.ts';
import { credentialsIn } from '../artifact/docker-config.ts';
import { parseReference } from '../artifact/reference.ts';
import { Registry } from '../artifact/registry.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Verified } from '../signature/verify.ts';
import type { Clock } from '../time/clock.ts';
import type { PullCredentials } from './pull-credentials.ts';
import type { Ask, Resolve } from './reconcile/resolver.ts';
import type { SignatureQuestion } from './reconcile/signature-verdicts.ts';
import type { OperatorSettings } from './settings.ts';

/** Who asks repeats what fails, with a backoff of its own. */
const attempts = 1;
const idleMs = 20_000;

/** Registries as the operator asks them: what tenants name. */
export const operatorRegistry = (
  { registryConfig, insecureRegistries }: Pick<OperatorSettings, 'registryConfig' | 'insecureRegistries'>,
  {
    clock,
    random,
    fetch,
  }: { readonly clock: Clock; readonly random: () => number; readonly fetch: typeof globalThis.fetch },
): Registry =>
  new Registry({
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

/** Asks OCI registries what their tags mean now, with the credential that the source names. */
export const tagResolver =
  (registry: Registry, credentials: Pick<PullCredentials, 'login'>): Resolve =>
  async (namespace, source, signal) => {
    const reference = parseReference(source.image);
    const tag = reference.tag ?? 'latest';
    const login = await credentials.login(namespace, source, signal);
    const asked = login === undefined ? registry : registry.as(login);
    const digest = await asked.resolve(reference, tag, signal);
    if (digest === undefined) throw new AdaptletError('ARTIFACT_NOT_FOUND', `${source.image} does not exist`);
    return digest;
  };

/** Asks OCI registries whether artifacts are signed as they have to be, with the credential that the source names. */
export const signatureVerifier =
  (registry: Registry, credentials: Pick<PullCredentials, 'login'>): Ask<SignatureQuestion, Verified> =>
  async (namespace, question, signal) => {
    const login = await credentials.login(namespace, question, signal);
    const asked = login === undefined ? registry : registry.as(login);
    return await verifyInRegistry(asked, parseReference(question.image), question, signal);
  };
