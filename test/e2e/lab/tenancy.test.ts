import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labObstacles } from '../../cluster/lab/index.ts';
import type { Network } from '../../cluster/lab/network.ts';
import { clientProbes, clusterProbes } from '../../conformance/tenancy/probes/all.ts';
import { agreesWithPage, runsProbes } from '../../conformance/tenancy/suite.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { tool } from '../../tools/build.ts';
import { callersAreLetIn, portsAreTls } from './callers.ts';
import { policiesAreFollowed } from './policies.ts';
import { Site } from './site.ts';
import { editorOf, idlePod, Tenants, victimNamespace } from './tenants.ts';

const grpcurl = await tool('grpcurl');
const obstacles = [...labObstacles(), ...(grpcurl === undefined ? ['no go to build grpcurl with'] : [])];
/** Callers are the chart's default. The queue is short, so that it can be filled; Secrets of both namespaces may be read. */
const values = {
  credentials: { namespaces: ['team-a', 'team-b'] },
  runtime: {
    anonymous: 'auto',
    data: { type: 'emptyDir' },
    // Short waits of a pod that is replaced.
    minReadySeconds: 2,
    drainSeconds: 1,
    extraEnv: [{ name: 'ADAPTLET_MAX_QUEUE', value: '16' }],
  },
};

let site: Site;
const folder = folderOfTests();
let network: Network;
let editors: Map<string, string>;
let addresses: { readonly http: string; readonly grpc: string };
const asking = () => ({ site, values, network, folder });

describe.skipIf(obstacles.length > 0)(`two tenants of a node of a cluster${obstacles.join('; ')}`, () => {
  beforeAll(async () => {
    site = await Site.start(1, victimNamespace);
    const { lab } = site;
    await lab.kubectlOk(['create', 'namespace', 'team-b']);
    editors = new Map();
    for (const name of [victimNamespace, 'team-b']) {
      const kubeconfig = await editorOf(site, name);
      editors.set(name, kubeconfig);
      const stdin = idlePod(site.image.name, 'app');
      const made = await lab.kubectlWith({ kubeconfig, stdin }, '-n', name, 'create', '-f', '-');
      expect(made).toMatchObject({ code: 0 });
    }
    await site.helm('install', values);
    await site.apply(site.adapter('upper'));
    for (const name of editors.keys())
      await lab.kubectlOk(['-n', name, 'wait', '--for=condition=Ready', 'pod/app', '--timeout=60s']);
    network = await lab.podNetwork(victimNamespace, 'app');
    const [http, grpc] = [await site.service(lab.node(1), 'http'), await site.service(lab.node(1), 'grpc')];
    addresses = { http: `http://${http}`, grpc };
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
  });

  describe('callers', () => callersAreLetIn(asking));

  describe('a policy', () =>
    policiesAreFollowed(() => ({ site, url: addresses.http, editor: editors.get(victimNamespace) ?? '' })));

  describe('team-b', () => {
    let tenants: Tenants;
    beforeAll(async () => {
      tenants = await Tenants.start(site, addresses, editors);
    });
    afterAll(() => tenants?.close());
    const asClient = runsProbes(clientProbes('lab'), () => tenants.stage);
    const inCluster = runsProbes(clusterProbes, () => tenants);
    it('leaves the other its answers', async () => {
      const seen = await tenants.stage.victim();
      expect(seen.status).toBe(200);
      expect(seen.headers.get('x-adaptlet-adapter')).toBe('sauce');
    });
    agreesWithPage('lab', asClient, inCluster);
  });

  describe('the request ports', () => portsAreTls(asking));
});
