import { Agent, type RequestOptions, request } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

/** Where the API server has the objects of a kind, by the name that `kubectl get` takes; a Node is in no namespace. */
const resources = {
  ad: ['apis/adaptlet.io/v1alpha1', 'adapters'],
  aro: ['apis/adaptlet.io/v1alpha1', 'adapterrollouts'],
  art: ['apis/adaptlet.io/v1alpha1', 'adapterroutes'],
  adr: ['apis/adaptlet.io/v1alpha1', 'adapterruntimes'],
  lease: ['apis/coordination.k8s.io/v1', 'leases'],
  configmap: ['api/v1', 'configmaps'],
  secret: ['api/v1', 'secrets'],
  node: ['api/v1', 'nodes'],
  pod: ['api/v1', 'pods'],
  service: ['api/v1', 'services'],
  deployment: ['apis/apps/v1', 'deployments'],
  daemonset: ['apis/apps/v1', 'daemonsets'],
} as const;

export type Kind = keyof typeof resources;

/**
 * Reads single objects over connections that stay open. Tests look at an object many times while they wait; a kubectl
 * for each look would take a tenth of a second of a core.
 */
export class Reader {
  readonly #server: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #credentials: Promise<RequestOptions>;

  /** As the user of the kubeconfig. */
  constructor(kubeconfig: string) {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    this.#server = config.getCurrentCluster()?.server ?? '';
    const options: RequestOptions = {};
    this.#credentials = config.applyToHTTPSOptions(options).then(() => options);
  }

  /** Undefined while there is no such object, and while the API server does not answer. */
  async get<T>(kind: Kind, name: string, namespace: string): Promise<T | undefined> {
    const [group, plural] = resources[kind];
    const scope = kind === 'node' ? '' : `namespaces/${namespace}/`;
    const url = `${this.#server}/${group}/${scope}${plural}/${name}`;
    const options = { ...(await this.#credentials), agent: this.#agent };
    const text = await new Promise<string | undefined>((resolve) => {
      const call = request(url, options, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          body += part;
        });
        response.once('end', () => resolve(response.statusCode === 200 ? body : undefined));
        response.once('error', () => resolve(undefined));
      });
      call.once('error', () => resolve(undefined));
      call.end();
    });
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }
}
