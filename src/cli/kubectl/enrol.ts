import { createHash, randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { parseDuration } from '../../api/duration.ts';
import { apiVersion, nameSchema } from '../../api/names.ts';
import { addressPattern, type EnrolmentToken, tokenText } from '../../control/enrolment.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeObject } from '../../kube/client/object.ts';
import { deviceAuthorityName } from '../../operator/devices/authority.ts';
import { readRuntime } from '../../operator/objects/read.ts';
import { configMapType, runtimeType } from '../../operator/objects/resource-types.ts';
import { labels as labelsSchema } from '../../settings/values.ts';
import { type Cluster, type ClusterOptions, connect, withCluster } from './cluster.ts';

/** Where the chart puts the operator by default; devices are in its namespace. */
const operatorNamespace = 'adaptlet-system';
const minimumMs = 60_000;

type EnrolOptions = ClusterOptions & {
  readonly labels: string;
  readonly expires: string;
  readonly operator?: string;
  readonly replace?: boolean;
};

/** What is written to the cluster for a token: nothing that lets anybody in. */
export const deviceSpecOf = (secret: string, expiresAt: number, random = randomBytes) => ({
  id: random(16).toString('hex'),
  tokenSha256: createHash('sha256').update(secret).digest('hex'),
  tokenExpires: new Date(expiresAt).toISOString(),
});

/** @throws CONFIG_INVALID with what to correct */
const checked = (name: string, { labels, expires, operator }: EnrolOptions) => {
  const invalid = (what: string): AdaptletError =>
    new AdaptletError('CONFIG_INVALID', what, { advice: 'Correct it.' });
  if (!nameSchema.safeParse(name).success)
    throw invalid(`a device cannot be called ${name}: it must be lower-case letters, digits, - and .`);
  if (operator !== undefined && !addressPattern.test(operator)) throw invalid('--operator must be host:port');
  const read = labelsSchema.safeParse(labels);
  if (!read.success) throw invalid('--labels must be key=value pairs separated by commas');
  const ms = parseDuration(expires);
  if (ms < minimumMs) throw invalid('--expires must be at least 1m');
  return { labels: read.data, ms };
};

/** The authority and the address, as the operator publishes them. */
const published = async (cluster: Cluster, operator: string | undefined) => {
  const found = await cluster.get(configMapType, deviceAuthorityName).catch((error: unknown) => {
    if (errorCodeOf(error) !== 'KUBE_NOT_FOUND') throw error;
    throw new AdaptletError(
      'KUBE_NOT_FOUND',
      `no operator in the namespace ${cluster.namespace} serves devices`,
      {
        advice: 'Set operator.devices.enabled of the chart, or name its namespace with -n.',
      },
    );
  });
  const data = (found as KubeObject & { readonly data?: Readonly<Record<string, string>> }).data ?? {};
  const address = operator ?? data['address'];
  if (address === undefined)
    throw new AdaptletError('CONFIG_INVALID', 'the operator does not say where devices reach it', {
      advice: 'Set operator.devices.address of the chart, or give --operator host:port.',
    });
  const authority = (data['ca.crt'] ?? '').replace(/-----[A-Z ]+-----|\s/g, '');
  return { address, authority };
};

/** Writes the enrolment; a name that exists is another enrolment only where that is asked for. */
const write = async (
  cluster: Cluster,
  name: string,
  device: ReturnType<typeof deviceSpecOf>,
  {
    labels,
    isReplacing,
  }: { readonly labels: Readonly<Record<string, string>>; readonly isReplacing: boolean },
): Promise<void> => {
  const metadata = { name, namespace: cluster.namespace, labels };
  if (!isReplacing) {
    try {
      await cluster.create(runtimeType, { apiVersion, kind: runtimeType.kind, metadata, spec: { device } });
      return;
    } catch (error) {
      if (errorCodeOf(error) !== 'KUBE_CONFLICT') throw error;
      throw new AdaptletError('KUBE_CONFLICT', `there is an AdapterRuntime ${name} already`, {
        advice:
          'Take another name; or, if it is the device that you mean, add --replace, which ends its former enrolment.',
      });
    }
  }
  const before = await cluster.get(runtimeType, name);
  if (readRuntime(before).object?.spec.device === undefined)
    throw new AdaptletError(
      'KUBE_CONFLICT',
      `the AdapterRuntime ${name} is no device: it belongs to the cluster`,
      {
        advice: 'Take another name.',
      },
    );
  await cluster.patch(runtimeType, name, {
    metadata: { resourceVersion: before.metadata.resourceVersion, labels },
    spec: { device: { ...device, keySha256: null, revoked: null } },
  });
};

const enrol = async (name: string, options: EnrolOptions): Promise<void> => {
  const { labels, ms } = checked(name, options);
  using cluster = connect({ ...options, namespace: options.namespace ?? operatorNamespace });
  const { address, authority } = await published(cluster, options.operator);
  const secret = randomBytes(32).toString('base64url');
  const device = deviceSpecOf(secret, Date.now() + ms);
  await write(cluster, name, device, { labels, isReplacing: options.replace === true });
  const token: EnrolmentToken = { address, authority, namespace: cluster.namespace, name, secret };
  process.stderr.write(
    `${name} may enrol at ${address} until ${device.tokenExpires}. The next line is shown once and stored nowhere; put it into a file on the device and start: adaptlet serve --enrol-token-file FILE\n`,
  );
  process.stdout.write(`${tokenText(token)}\n`);
};

const revoke = async (name: string, options: ClusterOptions): Promise<void> => {
  using cluster = connect({ ...options, namespace: options.namespace ?? operatorNamespace });
  const before = await cluster.get(runtimeType, name);
  if (readRuntime(before).object?.spec.device === undefined)
    throw new AdaptletError(
      'KUBE_CONFLICT',
      `the AdapterRuntime ${name} is no device: it has no certificate of its own`,
      {
        advice: 'A runtime of the cluster goes with its pod.',
      },
    );
  await cluster.patch(runtimeType, name, { spec: { device: { revoked: true } } });
  process.stdout.write(
    `${name}: revoked; its stream ends, and it keeps serving what it has. Enrol it again with --replace\n`,
  );
};

/** `kubectl adaptlet enrol|revoke NAME`. */
export const deviceCommands = (): Command[] => [
  withCluster(new Command('enrol'))
    .description(
      `make a token by which a device outside of the cluster becomes a runtime: printed once; the cluster keeps its hash (namespace: ${operatorNamespace}, unless -n says another)`,
    )
    .argument('<name>', 'name of the device, and of its AdapterRuntime')
    .option(
      '--labels <pairs>',
      'labels of the device, by which selectors and policies choose it: key=value,…',
      '',
    )
    .option('--expires <duration>', 'how long the token may be used', '1h')
    .option('--operator <host:port>', 'what the device dials; default: operator.devices.address of the chart')
    .option('--replace', 'a device of that name is enrolled anew; its former certificates end')
    .action(enrol),
  withCluster(new Command('revoke'))
    .description('end the stream of a device, and refuse its certificates for good')
    .argument('<name>', 'name of the device')
    .action(revoke),
];
