import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { krewManifest } from './krew.ts';
import { platforms } from './platforms.ts';

/** What krew's documentation (Writing custom plugin indexes, Plugin manifest) and its validation ask for. */
const line = (most: number) =>
  z
    .string()
    .regex(/^[^\r\n]+$/)
    .max(most);
const lines = (most: number) =>
  z
    .string()
    .refine((text) => text.split('\n').every((part) => part.length <= most), `lines of at most ${most}`);
const manifestSchema = z.strictObject({
  apiVersion: z.literal('krew.googlecontainertools.github.com/v1alpha2'),
  kind: z.literal('Plugin'),
  // kubectl- in front is not part of the name, and the file is called after it.
  metadata: z.strictObject({ name: z.string().regex(/^(?!kubectl-)[\w-]+$/) }),
  spec: z.strictObject({
    version: z.string().regex(/^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/),
    shortDescription: line(70),
    description: lines(80),
    caveats: lines(80),
    homepage: z.url().optional(),
    platforms: z
      .array(
        z.strictObject({
          selector: z.strictObject({
            matchLabels: z.strictObject({
              os: z.enum(['linux', 'darwin', 'windows']),
              arch: z.enum(['386', 'amd64', 'arm', 'arm64']),
            }),
          }),
          uri: z.url({ protocol: /^https$/ }).regex(/\.(tar\.gz|zip)$/),
          sha256: z.string().regex(/^[a-f0-9]{64}$/),
          bin: z.string().min(1),
        }),
      )
      .min(1)
      .refine((all) => {
        const selectors = all.map(({ selector: { matchLabels } }) => `${matchLabels.os}/${matchLabels.arch}`);
        return new Set(selectors).size === selectors.length;
      }, 'each platform once'),
  }),
});

const published = platforms.map((platform) => ({ platform, archive: 'x.tar.gz', sha256: 'a'.repeat(64) }));

describe('the manifest for krew', () => {
  it('is what krew accepts, with an archive for each platform', () => {
    const { spec } = manifestSchema.parse(
      parse(krewManifest('0.1.0', 'https://example.invalid/v0.1.0/', published)),
    );
    expect(spec.platforms).toHaveLength(platforms.length);
    expect(spec.platforms[0]?.uri).toBe('https://example.invalid/v0.1.0/x.tar.gz');
    expect(spec.version).toBe('v0.1.0');
  });

  it('names the program as Windows wants it', () => {
    const { spec } = manifestSchema.parse(parse(krewManifest('0.1.0', 'https://example.invalid', published)));
    const programs = spec.platforms.map(({ selector, bin }) => [selector.matchLabels.os, bin]);
    expect(programs).toContainEqual(['windows', 'kubectl-adaptlet.exe']);
    expect(programs).toContainEqual(['linux', 'kubectl-adaptlet']);
  });

  it('is refused by these rules when a sum or a version is none', () => {
    const bad = parse(krewManifest('next', 'https://example.invalid', published)) as unknown;
    expect(manifestSchema.safeParse(bad).success).toBe(false);
    const short = published.map((one) => ({ ...one, sha256: 'a' }));
    expect(
      manifestSchema.safeParse(parse(krewManifest('0.1.0', 'https://example.invalid', short))).success,
    ).toBe(false);
  });
});
