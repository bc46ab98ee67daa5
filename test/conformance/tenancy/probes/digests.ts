import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Digest } from '../../../../src/api/names.ts';
import type { DigestStage, Wanted } from '../digest-stage.ts';
import { onNode, type Probe, type ProbeId } from '../probe.ts';

/** A source of team-b that is refused by one of these codes, while team-a goes on. */
const refusedSource = (
  id: ProbeId,
  tries: string,
  codes: readonly string[],
  wanted: (stage: DigestStage) => Wanted,
  before: (stage: DigestStage) => Promise<void> = async () => undefined,
): Probe => ({
  id,
  tries,
  expected: codes.join(' or '),
  run: async (tenants) => {
    const stage = await tenants.digests();
    await before(stage);
    const { isServed, code, text } = await stage.attempt(wanted(stage));
    expect(isServed, text).toBe(false);
    expect(codes, text).toContain(code);
    expect(await stage.victimServes()).toBe(true);
  },
});

const named = ({ secret }: DigestStage): Wanted => ({ image: `team-b/own@${secret.digest}` });

const all: readonly Probe[] = [
  refusedSource(
    'reach/digest-in-own-repository',
    "names the digest of the other's adapter in a repository of its own",
    ['ARTIFACT_NOT_FOUND'],
    named,
  ),
  refusedSource('reach/digest-in-spec', 'writes it into spec.digest', ['DIGEST_MISMATCH'], ({ secret }) => ({
    image: 'team-b/own:latest',
    digest: secret.digest,
  })),
  refusedSource(
    'reach/digest-beside-folder',
    'writes it beside a folder of its own',
    ['DIGEST_MISMATCH'],
    ({ secret }) => ({
      path: 'adapters/reverse',
      digest: secret.digest,
    }),
  ),
  refusedSource(
    'reach/manifest-without-files',
    "has a registry that serves the other's manifest, without its files",
    ['ARTIFACT_NOT_FOUND'],
    ({ secret }) => ({ image: `team-b/hollow@${secret.digest}` }),
  ),
  refusedSource(
    'reach/listed-weights',
    "lists the other's weights in a manifest of its own",
    ['ARTIFACT_NOT_FOUND'],
    () => ({
      image: 'team-b/listed:latest',
    }),
  ),
  {
    id: 'reach/user-manifest-without-files',
    tries: "asks for the adapter of a user whose repository has the other's manifest, without its files",
    expected: 'ARTIFACT_NOT_FOUND',
    run: async (tenants) => {
      const stage = await tenants.digests();
      const seen = await stage.ask('personal', 'hollow');
      expect(seen, seen.text).toMatchObject({ isServed: false, code: 'ARTIFACT_NOT_FOUND' });
      // Where there are files it is answered.
      expect((await stage.ask('personal', 'own')).isServed).toBe(true);
    },
  },
  refusedSource(
    'reach/digest-after-eviction',
    "names the digest after the other's adapter left RAM",
    ['ARTIFACT_NOT_FOUND'],
    named,
    (stage) => stage.evictVictim(),
  ),
  refusedSource(
    'reach/digest-after-kill',
    'names it after the node was killed and started again',
    ['ARTIFACT_NOT_FOUND'],
    named,
    (stage) => stage.restart(),
  ),
  {
    id: 'reach/digest-while-registry-is-away',
    tries: 'names it while the registry is away, on a node that was started again',
    expected: 'REGISTRY_UNAVAILABLE; the other is served from the disk',
    run: async (tenants) => {
      const stage = await tenants.digests();
      stage.registry.isUp = false;
      try {
        await stage.restart();
        const { isServed, code, text } = await stage.attempt(named(stage));
        expect([isServed, code], text).toEqual([false, 'REGISTRY_UNAVAILABLE']);
        expect(await stage.victimServes()).toBe(true);
      } finally {
        stage.registry.isUp = true;
      }
    },
  },
  {
    id: 'guess/digest-on-disk',
    tries: 'names a digest that is on the disk for another, and one that is not there',
    expected: 'the same answer for what is there and what is not',
    run: async (tenants) => {
      const stage = await tenants.digests();
      const said = async (digest: Digest): Promise<string> => {
        const { isServed, code, text } = await stage.attempt({ image: `team-b/own@${digest}` });
        return `${isServed} ${code} ${text.replaceAll(digest, 'DIGEST')}`;
      };
      const unknown = `sha256:${randomBytes(32).toString('hex')}` as Digest;
      expect(await said(stage.secret.digest)).toBe(await said(unknown));
    },
  },
  refusedSource(
    'egress/metadata-of-the-node',
    'has a registry that leads the node to https://169.254.169.254',
    ['EGRESS_DENIED'],
    ({ registry }) => {
      registry.leads.set('team-b/away', 'https://169.254.169.254/latest/meta-data');
      return { image: 'team-b/away:latest' };
    },
  ),
];

/** What a digest opens that was read elsewhere, and where a registry leads. A node of its own, with a registry that lies. */
export const digests = all.map(onNode);
