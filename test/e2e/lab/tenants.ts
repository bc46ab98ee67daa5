import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MetricStatus, RolloutStatus } from '../../../src/api/rollout-status.ts';
import { Identity_Kind } from '../../../src/gen/adaptlet/control/v1/control.ts';
import type { Forward } from '../../cluster/lab/network.ts';
import { type Ground, type Manifest, manifestOf, Stage } from '../../conformance/tenancy/stage.ts';
import { tiny } from '../../support/node.ts';
import type { ProgramResult } from '../../support/program.ts';
import { helloOf, RawRuntime } from '../../support/raw-runtime.ts';
import { waitFor } from '../../support/wait.ts';
import { patience, type Site, systemNamespace } from './site.ts';

/** Only administrators write it. */
const ofAdministrators = 'AdapterPolicy';
export const victimNamespace = 'team-a';
const namespace = 'team-b';

/** Whom a token says that its holder is. */
export type Claim = { readonly kind: 'Node' | 'Pod'; readonly namespace: string; readonly name: string };

type ConditionOf = readonly [kind: 'ad' | 'aro' | 'art', name: string, type: string, status: string];

/** A pod that does nothing. */
export const idlePod = (image: string, name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'app',
          image,
          imagePullPolicy: 'Never',
          command: ['node', '-e', 'setInterval(() => {}, 60000)'],
          resources: { requests: { cpu: '10m', memory: '32Mi' } },
        },
      ],
    },
  });

/** A namespace with an editor, who is nobody else. */
export const editorOf = async (site: Site, inNamespace: string): Promise<string> => {
  const { lab } = site;
  const kubeconfig = await lab.serviceAccountKubeconfig({ namespace: inNamespace, name: 'editor' });
  const account = `--serviceaccount=${inNamespace}:editor`;
  await lab.kubectlOk(['-n', inNamespace, 'create', 'rolebinding', 'editor', '--clusterrole=edit', account]);
  return kubeconfig;
};

/** The metric `name` of an analysis, at this source: no value of it fails. */
const metricAt = (name: string, source: object): object => ({
  name,
  source,
  judge: { threshold: { success: { atLeast: 0 } } },
  interval: '1s',
  consecutiveErrorLimit: 100_000,
});
const http = (url: string, more: object = {}): object => ({ http: { url, jsonPath: '$.value', ...more } });

/** Two namespaces of a cluster that do not trust each other, each with its editor and a pod on the same node. */
export class Tenants {
  readonly site: Site;
  readonly stage: Stage;
  readonly #editor: string;
  /** Path of the operator's certificate authority. */
  readonly #caFile: string;
  readonly #operator: Forward;

  private constructor(site: Site, stage: Stage, own: { editor: string; caFile: string; operator: Forward }) {
    this.site = site;
    this.stage = stage;
    this.#editor = own.editor;
    this.#caFile = own.caFile;
    this.#operator = own.operator;
  }

  /** On the first node of a site, whose registry has an adapter of team-a beside those of everybody. */
  static async start(
    site: Site,
    addresses: Pick<Ground, 'http' | 'grpc'>,
    editors: ReadonlyMap<string, string>,
  ): Promise<Tenants> {
    const { lab } = site;
    const { host } = lab.registry;
    const files = ['adapter_config.json', 'adapter_model.safetensors'];
    const digest = await lab.registry.push('team-a/upper:v1', join(tiny.adapters, 'upper'), files);
    const oci = (image: string) => ({ oci: { image: `${host}/${image}` } });
    const apply = async (kubeconfig: string, objects: readonly Manifest[]): Promise<void> => {
      const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      const { code, stderr } = await lab.kubectlWith({ stdin, kubeconfig }, 'apply', '-f', '-');
      if (code !== 0) throw new Error(stderr);
    };
    const stage = await Stage.start({
      place: 'lab',
      ...addresses,
      sources: {
        victim: oci('team-a/upper:v1'),
        own: (name) => oci(`adapters/${name}:v1`),
        users: oci('adapters/{user}:v1'),
        allowed: { registries: [`${host}/adapters`] },
        outside: oci(`team-a/upper@${digest}`),
      },
      apply: async (manifests) => {
        const isPolicy = ({ kind }: Manifest): boolean => kind === ofAdministrators;
        await apply(lab.kubeconfig, manifests.filter(isPolicy));
        for (const [of, kubeconfig] of editors) {
          const own = ({ metadata }: Manifest): boolean => metadata.namespace === of;
          await apply(
            kubeconfig,
            manifests.filter((one) => own(one) && !isPolicy(one)),
          );
        }
      },
      stateOf: async (key) => {
        const { stdout } = await site.inRuntime(lab.node(1), 'adaptlet', 'status', '-o', 'json');
        const { adapters } = JSON.parse(stdout) as { adapters: { key: string; state: string }[] };
        return adapters.find((adapter) => adapter.key === key)?.state;
      },
    });
    const network = await lab.podNetwork(namespace, 'app');
    const service = ['get', 'service', 'adaptlet-operator', '-o', 'jsonpath={.spec.clusterIP}'];
    const address = await lab.kubectlOk(['-n', systemNamespace, ...service]);
    const operator = await network.forward(address, 9443);
    const caFile = join(dirname(lab.kubeconfig), 'operator-ca.crt');
    const published = ['get', 'configmap', 'adaptlet-ca', '-o', 'jsonpath={.data.ca\\.crt}'];
    await writeFile(caFile, await lab.kubectlOk(['-n', systemNamespace, ...published]));
    const tenants = new Tenants(site, stage, { editor: editors.get(namespace) ?? '', caFile, operator });
    await tenants.#measure();
    return tenants;
  }

  /** A canary of team-b that is measured at addresses which are none of its business, and one by the analysis of team-a. */
  async #measure(): Promise<void> {
    const { lab } = this.site;
    const secret = ['create', 'secret', 'generic', 'login', '--from-literal=token=of-team-a'];
    await lab.kubectlOk(['-n', victimNamespace, ...secret]);
    await lab.kubectlOk(['-n', victimNamespace, 'label', 'secret', 'login', 'adaptlet.io/metrics=true']);
    const quality = { metrics: [metricAt('up', http('https://scores.example/'))] };
    await lab.kubectlOk(
      ['apply', '-f', '-'],
      JSON.stringify(manifestOf('AdapterAnalysis', victimNamespace, 'quality', quality)),
    );
    const metrics = [
      metricAt('service', { prometheus: { address: 'https://kubernetes.default.svc', query: 'up' } }),
      metricAt('api-server', http('https://10.250.0.1:6443/version')),
      metricAt('metadata', http('http://169.254.169.254/latest/meta-data/')),
      metricAt('loopback', http('http://127.0.0.1:8081/metrics')),
      metricAt('runtime', http(`http://adaptlet-runtime.${systemNamespace}:8090/metrics`)),
      metricAt(
        'secret',
        http(`https://${lab.registry.host}/v2/`, { secretRef: { name: 'login', key: 'token' } }),
      ),
    ];
    const rollouts = (adapter: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [['metered', { metrics }] as const, ['judged', { ref: 'quality' }] as const].map(
          ([name, analysis]) =>
            manifestOf('AdapterRollout', namespace, name, {
              adapter,
              strategy: {
                canary: { steps: [{ setWeight: 50 }, { analysis: { duration: '1h', ...analysis } }] },
              },
            }),
        ),
      });
    const isAt = async (name: string, phase: RolloutStatus['phase']): Promise<boolean> =>
      (await this.site.rollout(name, namespace))?.phase === phase;
    await this.kubectlOk(['apply', '-f', '-'], rollouts('own'));
    for (const name of ['metered', 'judged'])
      await waitFor(`${name} to serve its first adapter`, () => isAt(name, 'Healthy'), patience);
    await this.kubectlOk(['apply', '-f', '-'], rollouts('copy'));
  }

  /** kubectl as the editor of team-b, in its namespace where the arguments name no other. */
  kubectl(args: readonly string[], stdin?: string): Promise<ProgramResult> {
    const options = { kubeconfig: this.#editor, ...(stdin === undefined ? {} : { stdin }) };
    return this.site.lab.kubectlWith(options, '-n', namespace, ...args);
  }

  /** The same; throws with its words when it fails. */
  async kubectlOk(args: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, stdin);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** The token that the editor of team-b makes for its pod. */
  async ownToken(audience?: string): Promise<string> {
    const bound = ['--bound-object-kind=Pod', '--bound-object-name=app'];
    const forWhom = audience === undefined ? [] : [`--audience=${audience}`];
    return (await this.kubectlOk(['create', 'token', 'default', ...bound, ...forWhom])).trim();
  }

  /** Connects to the operator from the pod of team-b, as a runtime does: how that ends, or `Welcome`. */
  async claim(token: string, { kind, ...claim }: Claim): Promise<string> {
    const address = this.#operator.host;
    const runtime = await RawRuntime.open({ address, caFile: this.#caFile, token });
    try {
      const identity = { ...claim, kind: kind === 'Node' ? Identity_Kind.NODE : Identity_Kind.POD };
      await runtime.send({ $case: 'hello', value: helloOf(claim.namespace, claim.name, { identity }) });
      return await waitFor('the answer of the operator', async () =>
        runtime.isWelcome ? 'Welcome' : runtime.isOver && (await runtime.ended),
      );
    } finally {
      runtime.close();
    }
  }

  /** What is known of a metric of `metered`, once it was tried. */
  metric(name: string): Promise<MetricStatus> {
    return waitFor(
      `the metric ${name} to be measured`,
      async () => {
        const status = await this.site.rollout('metered', namespace);
        return status?.analysis?.find((one) => one.name === name && one.measured > 0);
      },
      patience,
    );
  }

  /** A condition of an object of team-b; undefined while it does not have it with this status. */
  async conditionNow(...[kind, name, type, status]: ConditionOf): Promise<string | undefined> {
    type Conditions = {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
    type Read = { readonly status?: { readonly conditions?: Conditions } };
    const read = await this.site.lab.get<Read>(kind, name, namespace);
    const found = read?.status?.conditions?.find((one) => one.type === type && one.status === status);
    return found && `${found.reason}: ${found.message}`;
  }

  /** The same, once it has it. */
  condition(...of: ConditionOf): Promise<string> {
    const [, name, type, status] = of;
    return waitFor(`${type} of ${name} to be ${status}`, () => this.conditionNow(...of));
  }

  async close(): Promise<void> {
    await this.stage.close();
  }
}
