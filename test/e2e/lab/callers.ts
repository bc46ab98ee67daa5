import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { makeCertificates } from '../../cluster/certificates.ts';
import { toolPath } from '../../cluster/index.ts';
import type { Network } from '../../cluster/lab/network.ts';
import { repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { tool } from '../../tools/build.ts';
import { shellInPod } from './in-pod.ts';
import { type Site, systemNamespace } from './site.ts';

/** An install, and who asks. */
export type Asking = {
  readonly site: Site;
  /** What the chart was installed with, beside the values of the site. */
  readonly values: { readonly runtime: object };
  /** Of a pod on the node. */
  readonly network: Network;
  /** Where commands run, which leave files. */
  readonly folder: string;
};

const policyOf = (spec: object): string =>
  stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterPolicy',
    metadata: { name: 'default', namespace: 'team-a' },
    spec,
  });

const refusal = '"code":"unauthenticated"';
const page = () => readFile(join(repositoryRoot, 'docs/how-to/let-clients-in.md'), 'utf8');

/** The first block of a language that has these words. */
const blockWith = async (language: string, words: string): Promise<string> => {
  const blocks = [...(await page()).matchAll(/^( *)```(\w+)\n([\s\S]*?)^ *```$/gm)];
  const found = blocks.find(([, , of, block]) => of === language && block?.includes(words));
  if (found === undefined) throw new Error(`let-clients-in.md has no block of ${language} with ${words}`);
  return (found[3] ?? '').replaceAll(new RegExp(`^${found[1]}`, 'gm'), '').trim();
};

/** What helm printed: its commands, in paragraphs. */
const commandsOf = (notes: string): string[] =>
  notes
    .split(/\n\n+/)
    .filter((paragraph) => paragraph.startsWith('  '))
    .map((paragraph) => paragraph.replaceAll(/^ {2}/gm, ''));

const server = `adaptlet-runtime.${systemNamespace}`;

/** People of the page: an administrator of the cluster, and whoever asks from a pod. */
const peopleOf = (asking: () => Asking) => {
  const asAdministrator = async (block: string): Promise<string> => {
    const { site, folder } = asking();
    const PATH = `${dirname(await toolPath('kubectl'))}:${process.env['PATH']}`;
    const env = { PATH, KUBECONFIG: site.lab.kubeconfig };
    const { code, stdout, stderr } = await runProgram('bash', ['-ec', block], { cwd: folder, env });
    expect({ block, code, stderr }).toEqual({ block, code: 0, stderr: '' });
    return stdout;
  };
  /** Waits until commands of the page, or of NOTES, say all of this: what the API server has is in force at the node. */
  const answers = async (block: string, ...says: readonly string[]): Promise<void> => {
    const { network, folder } = asking();
    const programs = { adaptlet: join(repositoryRoot, 'bin/adaptlet'), grpcurl: await tool('grpcurl') };
    const known = Object.entries(programs).map(([name, path]) => `${name}() { ${path} "$@"; }\n`);
    const here =
      known.join('') +
      block.replaceAll('NODE', server).replaceAll('-m sql', '-m tiny').replaceAll('"sql"', '"tiny"');
    await waitFor(`an answer with ${says.join(' and ')}`, async () => {
      const { code, stdout, stderr } = await shellInPod(network, {
        namespace: 'team-a',
        folder,
        block: here,
      });
      if (code !== 0 || !says.every((one) => stdout.includes(one)))
        throw new Error(`${code}: ${stderr}${stdout}`);
      return true;
    });
  };
  const notes = async (): Promise<string[]> => {
    const { stdout } = await asking().site.lab.helm('get', 'notes', 'adaptlet', '-n', systemNamespace);
    return commandsOf(stdout);
  };
  return { asAdministrator, answers, notes };
};

/** Registers what the chart, its NOTES and docs/how-to/let-clients-in.md say of callers, as tests. */
export const callersAreLetIn = (asking: () => Asking): void => {
  const { asAdministrator, answers, notes } = peopleOf(asking);
  /** Asks the base model with a credential, or without one. */
  const ask = (credential: string): string =>
    `curl -s http://${server}:8080/v1/completions ${credential} \\
      -H 'content-type: application/json' -d '{"model": "tiny", "prompt": "moon:", "temperature": 0}'`;

  it('are refused without a key, and answered with the one that NOTES tell how to make', async () => {
    await answers(ask(''), refusal);
    const [, make = '', request = ''] = await notes();
    expect(make).toContain('adaptlet key');
    await asAdministrator(make);
    await answers(request, '"text":');
    await answers(ask(''), refusal);
    await answers(request.replace('Bearer ', 'Bearer x'), refusal);
  });

  it('are answered with the key of the page, by its clients', async () => {
    const [, command = ''] = /In a cluster: `([^`]*)`/.exec((await page()).replaceAll('\n', ' ')) ?? [];
    const made = await asAdministrator(command);
    const [, key = ''] = /^key: (\S+)$/m.exec(made) ?? [];
    const [, digest = ''] = /sha256: ([0-9a-f]{64})/.exec(made) ?? [];
    const written = (await blockWith('yaml', 'sha256:')).replace(/[0-9a-f]{64}/, digest);
    await asking().site.apply(written.replace(/expires: \d+/, 'expires: 2100'));
    await answers(`KEY=${key}\n${await blockWith('sh', 'chat/completions')}`, '"content":', '"done": {');
  });

  it('are answered with a token of their ServiceAccount, for its audience alone', async () => {
    const { site } = asking();
    const { spec } = parse(await blockWith('yaml', 'kubernetes.default.svc.cluster.local')) as {
      readonly spec: { readonly clients: { readonly issuers: readonly { name: string; jwks: string }[] } };
    };
    const issuers = spec.clients.issuers.filter(({ name }) => name === 'cluster');
    const jwks = (await asAdministrator('kubectl get --raw /openid/v1/jwks')).trim();
    await site.apply(policyOf({ clients: { issuers: issuers.map((one) => ({ ...one, jwks })) } }));
    await site.lab.ensureServiceAccount('team-a', 'app');
    const command = await blockWith('sh', 'create token');
    const tokenOf = async (how: string): Promise<string> =>
      ask(`-H "authorization: Bearer ${(await asAdministrator(how)).trim()}"`);
    await answers(await tokenOf(command), '"text":');
    await answers(await tokenOf(command.replace(/--audience=\S+/, '')), refusal);
    await answers(await tokenOf(command.replace('token app', 'token default')), refusal);
  });
};

/** Registers what the chart offers as TLS of the request ports. It changes the release. */
export const portsAreTls = (asking: () => Asking): void => {
  const { asAdministrator, answers, notes } = peopleOf(asking);

  it('are TLS with certificates of the operator, for the curl of NOTES', async () => {
    const { site, values } = asking();
    await site.helm('upgrade', { ...values, runtime: { ...values.runtime, tls: { operator: true } } });
    // Helm is content with a DaemonSet but for the pods that may be away, and what is left of an earlier one is not TLS.
    await site.rolledOut('daemonset/adaptlet-runtime');
    const [, make = '', request = ''] = await notes();
    expect(request).toContain('https://');
    await asAdministrator(make);
    await answers(request, '"text":');
  });

  it('are TLS with a Secret, for the curl of NOTES and for clients with a certificate', async () => {
    const { site, folder, values } = asking();
    await makeCertificates(folder, [
      { name: 'tls', subject: '/CN=server', san: `DNS:${server}` },
      { name: 'client', subject: '/CN=gateway.team-a' },
    ]);
    await asAdministrator(await blockWith('sh', 'create secret'));
    const { spec } = parse(await blockWith('yaml', 'commonName: gateway.team-a')) as {
      readonly spec: object;
    };
    await site.apply(policyOf(spec));
    const tls = { secret: 'adaptlet-tls', clientCertificates: true };
    await site.helm('upgrade', { ...values, runtime: { ...values.runtime, tls } });
    await site.rolledOut('daemonset/adaptlet-runtime');
    const [, , request = ''] = await notes();
    expect(request).toContain('https://');
    await answers(request, '"text":');
    const clients = await blockWith('sh', '--cert client.crt');
    await answers(clients, '"object":"list"', 'adaptlet.inference.v1.Inference');
    const [curl = ''] = clients.split('\ngrpcurl');
    await answers(curl.replace(/--cert .*\.key/, ''), refusal);
  });
};
