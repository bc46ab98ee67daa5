import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Digest } from '../../../../src/api/names.ts';
import type { DigestStage, Wanted } from '../digest-stage.ts';
import type { Probe } from '../probe.ts';

/** A source of team-b that is refused by one of these codes, while team-a goes on. */
const refusedSource = (
  tries: string,
  codes: readonly string[],
  wanted: (stage: DigestStage) => Wanted,
  before: (stage: DigestStage) => Promise<void> = async () => undefined,
): Probe => ({
  kind: 'reach',
  tries,
  expected: codes.join(' or '),
  run: async (all) => {
    const stage = await all.digests();
    await before(stage);
    const { isServed, code, text } = await stage.attempt(wanted(stage));
    expect(isServed, text).toBe(false);
    expect(codes, text).toContain(code);
    expect(await stage.victimServes()).toBe(true);
  },
});

const named = ({ secret }: DigestStage): Wanted => ({ image: `team-b/own@${secret.digest}` });

/** What a digest opens that was read elsewhere. */
export const digests: readonly Probe[] = [
  refusedSource(
    "names the digest of the other's adapter in a repository of its own",
    ['ARTIFACT_NOT_FOUND'],
    named,
  ),
  refusedSource('writes it into spec.digest', ['DIGEST_MISMATCH'], ({ secret }) => ({
    image: 'team-b/own:latest',
    digest: secret.digest,
  })),
  refusedSource('writes it beside a folder of its own', ['DIGEST_MISMATCH'], ({ secret }) => ({
    path: 'adapters/reverse',
    digest: secret.digest,
  })),
  refusedSource(
    "has a registry that serves the other's manifest, without its files",
    ['ARTIFACT_NOT_FOUND'],
    ({ secret }) => ({ image: `team-b/hollow@${secret.digest}` }),
  ),
  refusedSource("lists the other's weights in a manifest of its own", ['ARTIFACT_NOT_FOUND'], () => ({
    image: 'team-b/listed:latest',
  })),
  {
    kind: 'reach',
    tries: "asks for the adapter of a user whose repository has the other's manifest, without its files",
    expected: 'ARTIFACT_NOT_FOUND',
    run: async (all) => {
      const stage = await all.digests();
      const seen = await stage.ask('personal', 'hollow');
      expect(seen, seen.text).toMatchObject({ isServed: false, code: 'ARTIFACT_NOT_FOUND' });
      // Where there are files it is answered.
      expect((await stage.ask('personal', 'own')).isServed).toBe(true);
    },
  },
  refusedSource(
    "names the digest after the other's adapter left RAM",
    ['ARTIFACT_NOT_FOUND'],
    named,
    (stage) => stage.evictVictim(),
  ),
  refusedSource(
    'names it after the node was killed and started again',
    ['ARTIFACT_NOT_FOUND'],
    named,
    (stage) => stage.restart(),
  ),
  {
    kind: 'reach',
    tries: 'names it while the registry is away, on a node that was started again',
    expected: 'REGISTRY_UNAVAILABLE; the other is served from the disk',
    run: async (all) => {
      const stage = await all.digests();
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
    kind: 'guess',
    tries: 'names a digest that is on the disk for another, and one that is not there',
    expected: 'the same answer for what is there and what is not',
    run: async (all) => {
      const stage = await all.digests();
      const said = async (digest: Digest): Promise<string> => {
        const { isServed, code, text } = await stage.attempt({ image: `team-b/own@${digest}` });
        return `${isServed} ${code} ${text.replaceAll(digest, 'DIGEST')}`;
      };
      const unknown = `sha256:${randomBytes(32).toString('hex')}` as Digest;
      expect(await said(stage.secret.digest)).toBe(await said(unknown));
    },
  },
];
