import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownArchitecture } from '../../../image/architecture.ts';
import { labObstacles } from '../../cluster/lab/index.ts';
import { earlierRelease, extractEarlierRelease } from '../../support/earlier-release.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { expectShortGap, Requests } from './requests.ts';
import { type AdapterName, adapterNames, patience, Site, systemNamespace } from './site.ts';

const obstacles = labObstacles();
const nodes = [1, 2, 3] as const;
/** Of the earlier release in the registry. Both releases have the same version. */
const earlierTag = 'earlier';
/** One node at a time, and a fast one: the least that a node is without service. */
const runtime = { minReadySeconds: 2, updateStrategy: { maxUnavailable: 1 } };

/** The earlier release closes its ports before its Service knows: whoever asks meanwhile is refused, 20 times a second. */
const mostLost = 100;

let earlier: string;
let site: Site;

/** The earlier chart does not know authorities of one's own: it is told how as a volume. It lets everybody in, and asks every address. */
const earlierValues = () => {
  const { operator, runtime: given } = site.values as Record<'operator' | 'runtime', object>;
  const { anonymous: _, ...own } = given as { readonly anonymous: string };
  const { egress: __, ...rest } = operator as { readonly egress: object };
  const at = '/etc/site-ca';
  return {
    image: { repository: `${site.lab.registry.host}/adaptlet`, tag: earlierTag },
    operator: rest,
    runtime: {
      ...own,
      extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: `${at}/ca.crt` }],
      extraVolumes: [{ name: 'site-ca', configMap: { name: 'site-ca' } }],
      extraVolumeMounts: [{ name: 'site-ca', mountPath: at }],
    },
  };
};

/** With its digest: the earlier operator cannot ask the registry of this site for what a tag means. */
const adapterOf = async (name: AdapterName): Promise<string> => {
  const image = `${site.lab.registry.host}/adapters/${name}:v1`;
  const digest = (await site.lab.registry.oras('resolve', [image])).trim();
  return site.adapter(name).replace('spec: {', `spec: {digest: "${digest}", `);
};

/** Images of the pods that run. */
const images = async (): Promise<string[]> => {
  const pods = [...(await site.podsOf('operator')), ...(await site.podsOf('runtime'))];
  return [...new Set(pods.flatMap(({ spec }) => spec.containers.map(({ image }) => image)))];
};

const paused = () =>
  waitFor('the canary to wait', async () => (await site.rollout('shout'))?.phase === 'Paused', patience);

describe.skipIf(obstacles.length > 0)(
  `three nodes with the release before (${earlierRelease.version} at ${earlierRelease.commit.slice(0, 7)})${obstacles.join('; ')}`,
  () => {
    beforeAll(async () => {
      earlier = await extractEarlierRelease();
      const folder = mkdtempSync(join(tmpdir(), 'adaptlet-earlier-image-'));
      const architecture = ownArchitecture()?.name ?? '';
      const build = [join(earlier, 'image/main.ts'), architecture, '--folder', folder];
      const built = await runProgram(process.execPath, build, { cwd: earlier });
      expect(built).toMatchObject({ code: 0, stderr: '' });
      site = await Site.start(nodes.length, 'team-a');
      await site.lab.registry.pushImage(
        join(folder, 'oci'),
        earlierRelease.version,
        `adaptlet:${earlierTag}`,
      );
      await rm(folder, { recursive: true });
      const chart = join(earlier, 'charts/adaptlet');
      await site.helm('install', { runtime }, { chart, values: earlierValues() });
      await site.apply((await Promise.all(adapterNames.map(adapterOf))).join(''));
      await site.decide('upper');
    });
    afterAll(async () => {
      await site?.[Symbol.asyncDispose]();
      await rm(earlier, { recursive: true, force: true });
    });

    it.each([
      { verb: 'upgrade', canary: 'reverse', last: 'digits' },
      { verb: 'rollback', canary: 'hello', last: 'upper' },
    ] as const)(
      'lose a request or few on each node in turn by helm $verb, and canaries go on',
      async (step) => {
        await using requests = await Requests.start(site, nodes);
        const before = await images();
        await site.point(step.canary, '{setWeight: 40}, {pause: {}}');
        await paused();
        const bound = (await site.rollout('shout'))?.canary;
        if (step.verb === 'upgrade') await site.helm('upgrade', { runtime });
        else
          expect(await site.lab.helm('rollback', 'adaptlet', '-n', systemNamespace)).toMatchObject({
            code: 0,
          });
        await site.rolledOut('deployment/adaptlet-operator');
        await site.rolledOut('daemonset/adaptlet-runtime');
        expect((await images()).filter((image) => before.includes(image))).toEqual([]);

        // A runtime that has just come back is awaited for a moment; the canary is never given up for it.
        await waitFor(
          'the rollout to be told of the new runtimes',
          async () => (await site.rollout('shout'))?.phase !== 'Progressing',
          patience,
        );
        const after = await site.rollout('shout');
        expect(after, `${after?.message}`).toMatchObject({ phase: 'Paused', canary: bound });
        for (const index of nodes) requests.of(index).adapters.clear();
        await requests.answered(80);
        for (const index of nodes) expect(requests.of(index).adapters.size).toBe(2);
        expect(await site.plugin('promote', 'shout', '-n', site.namespace)).toMatchObject({ code: 0 });
        await requests.onlyFrom(step.canary);
        await site.decide(step.last);
        await requests.onlyFrom(step.last);
        for (const index of nodes) expectShortGap(requests, index, { mostLost });
      },
    );
  },
);
