import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { issueAuthority, issueCertificate } from '../../src/operator/identity/certificate.ts';
import { earlierRelease, extractEarlierRelease } from '../support/earlier-release.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { scratchFolder } from './base.ts';
import { autocannonProgram, ghzProgram, versionText } from './load/programs.ts';
import { grpcLoad, httpLoad, type Load, type LoadTarget } from './load/run.ts';
import { quantile, type Report, report, type Variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const rounds = roundsOf(3);
const seconds = 5;
/** Clients at the same time, each with a connection and one request after another. */
const clients = [1, 4, 16, 64] as const;
/** The p99 that a rate is stated for, in milliseconds. */
const goalMs = 100;
const key = 'adk_load-generator';
const protocols = ['http', 'grpc'] as const;
type Protocol = (typeof protocols)[number];

type Arm = { readonly name: string; readonly node: TestNode; readonly target: Omit<LoadTarget, 'address'> };

const policy = `apiVersion: adaptlet.io/v1alpha1
kind: AdapterPolicy
metadata: {name: default, namespace: default}
spec: {clients: {apiKeys: [{name: load, sha256: ${createHash('sha256').update(key).digest('hex')}}]}}
`;

/** Files of a certificate for loopback, and of its authority. */
const certificateIn = async (folder: string) => {
  const validity = { from: Date.now() - 60_000, until: Date.now() + 86_400_000 };
  const authority = await issueAuthority('load', validity);
  const about = { subject: { name: 'runtime' }, names: ['127.0.0.1', 'localhost'], validity };
  const pair = await issueCertificate(authority, about);
  const paths = {
    ca: join(folder, 'ca.crt'),
    certificate: join(folder, 'tls.crt'),
    key: join(folder, 'tls.key'),
  };
  await writeFile(paths.ca, authority.certificate);
  await writeFile(paths.certificate, pair.certificate);
  await writeFile(paths.key, pair.key);
  return paths;
};

/** A node on the tiny model that takes more requests than there are clients. */
const startNode = async (
  settings: Readonly<Record<string, string>>,
  options: { readonly tree?: string; readonly asksKey?: boolean } = {},
): Promise<TestNode> => {
  const node = await TestNode.start({
    tree: options.tree,
    settings: { 'log-level': 'warn', 'max-queue': '1000', ...settings },
  });
  if (options.asksKey === true) await node.write('policy.yaml', policy);
  return node;
};

/** Plain, with keys, with TLS, with both; and the first release, which has neither. */
const startArms = async (folder: string, stack: AsyncDisposableStack): Promise<readonly Arm[]> => {
  const { ca, certificate, key: tlsKey } = await certificateIn(folder);
  const tls = { 'tls-cert': certificate, 'tls-key': tlsKey };
  const arm = async (
    name: string,
    start: Promise<TestNode>,
    target: Omit<LoadTarget, 'address' | 'model'> = {},
  ): Promise<Arm> => {
    const node = await start;
    stack.defer(() => node.dispose());
    return { name, node, target: { model: 'tiny', ...target } };
  };
  return [
    await arm('plain', startNode({})),
    await arm('key', startNode({}, { asksKey: true }), { key }),
    await arm('tls', startNode(tls), { ca }),
    await arm('tls_key', startNode(tls, { asksKey: true }), { ca, key }),
    await arm('first', startNode({}, { tree: await extractEarlierRelease() })),
  ];
};

const addressOf = ({ node }: Arm, protocol: Protocol): string =>
  protocol === 'http' ? node.http : node.grpc;

type Sample = Load & { readonly clients: number };

/** The most answers in a second among those numbers of clients for which 99 of 100 came in time; none: nothing did. */
const bestOf = (samples: readonly Sample[]): Sample | undefined =>
  samples.filter(({ p99Ms }) => p99Ms <= goalMs).toSorted((a, b) => b.perSecond - a.perSecond)[0];

const variantOf = (values: readonly number[]): Variant => ({
  median: Number(quantile(values, 0.5).toPrecision(4)),
  p99: Number(quantile(values, 0.99).toPrecision(4)),
  n: values.length,
});

/**
 * What the servers cost of themselves: one token of the tiny base model, asked for by ghz and autocannon, with and without TLS and keys, and of the
 * first release. Results: `NAME_rps` answers in a second at the best number of clients whose p99 is within 100 ms, the median of the rounds,
 * and `NAME_ms_cN` their milliseconds for N clients (`median`: median of medians, `p99`: median of p99s). The load generators share the
 * machine with the node.
 */
export const load = async (): Promise<Report> => {
  using scratch = scratchFolder();
  await using stack = new AsyncDisposableStack();
  const programs = { http: await autocannonProgram(), grpc: await ghzProgram() };
  const arms = await startArms(scratch.path, stack);
  const samples = new Map<string, Sample[]>();
  const samplesOf = (name: string): Sample[] => {
    const own = samples.get(name) ?? [];
    samples.set(name, own);
    return own;
  };
  const measure = async (arm: Arm, protocol: Protocol, many: number, forSeconds = seconds): Promise<Load> => {
    const target = { ...arm.target, address: addressOf(arm, protocol) };
    const ask = protocol === 'http' ? httpLoad : grpcLoad;
    return ask(target, { program: programs[protocol], clients: many, seconds: forSeconds });
  };
  for (const arm of arms)
    for (const protocol of protocols)
      await waitFor(
        `${arm.name} to answer`,
        async () => (await measure(arm, protocol, 1, 1)).failed === 0,
        120_000,
      );

  const perRound = new Map<string, number[]>();
  const shuffle = shuffler(1);
  for (let round = 1; round <= rounds; round += 1) {
    for (const protocol of protocols) {
      for (const arm of shuffle(arms)) {
        const own: Sample[] = [];
        for (const many of clients) own.push({ ...(await measure(arm, protocol, many)), clients: many });
        const name = `${protocol}_${arm.name}`;
        samplesOf(name).push(...own);
        perRound.set(name, [...(perRound.get(name) ?? []), bestOf(own)?.perSecond ?? 0]);
        console.error(`load: ${name}, round ${round} of ${rounds}`);
      }
    }
  }

  const results: Record<string, Variant> = {};
  const setup: Record<string, string | number> = {};
  for (const [name, own] of samples) {
    results[`${name}_rps`] = variantOf(perRound.get(name) ?? []);
    for (const many of clients) {
      const some = own.filter((sample) => sample.clients === many);
      const median = (of: (sample: Sample) => number): number =>
        Number(quantile(some.map(of), 0.5).toPrecision(4));
      results[`${name}_ms_c${many}`] = {
        median: median(({ medianMs }) => medianMs),
        p99: median(({ p99Ms }) => p99Ms),
        n: some.reduce((sum, { answers }) => sum + answers, 0),
      };
    }
    setup[`failed_${name}`] = own.reduce((sum, { failed }) => sum + failed, 0);
    setup[`clients_${name}`] = bestOf(own)?.clients ?? 0;
  }
  const rate = (name: string): number => results[`${name}_rps`]?.median ?? Number.NaN;
  const ratios = Object.fromEntries(
    protocols.flatMap((protocol) => [
      [`${protocol}_over_first`, rate(`${protocol}_plain`) / rate(`${protocol}_first`)],
      ...['key', 'tls', 'tls_key'].map((name): [string, number] => [
        `${protocol}_${name}_over_plain`,
        rate(`${protocol}_${name}`) / rate(`${protocol}_plain`),
      ]),
    ]),
  );
  return report('load', 'answers/s or ms', {
    results,
    ratios,
    setup: {
      model: 'tiny fp32',
      first_release: `${earlierRelease.version} at ${earlierRelease.commit.slice(0, 7)}`,
      programs: versionText,
      p99_within_ms: goalMs,
      seconds,
      rounds,
      ...setup,
    },
  });
};
