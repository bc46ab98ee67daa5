import { stringify } from 'yaml';
import { type Platform, programOf } from './platforms.ts';

export type Published = {
  readonly platform: Platform;
  /** File name of the archive. */
  readonly archive: string;
  /** Of the archive, 64 hexadecimal digits. */
  readonly sha256: string;
};

/** The manifest of the plug-in for krew (krew.sigs.k8s.io, plugin manifest). `version`: without v. `baseUrl`: of the archives. */
export const krewManifest = (version: string, baseUrl: string, published: readonly Published[]): string =>
  stringify(
    {
      apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
      kind: 'Plugin',
      metadata: { name: 'adaptlet' },
      spec: {
        version: `v${version}`,
        shortDescription: 'See and steer LoRA adapters and their rollouts',
        description: [
          'Shows rollouts of LoRA adapters over the nodes of a cluster with Adaptlet,',
          'promotes, aborts and undoes them, says which adapter a user gets, and',
          'finds what is wrong with an installation (kubectl adaptlet doctor).',
          '',
        ].join('\n'),
        caveats: [
          'On macOS it needs Node 24 or newer in the PATH.',
          'For completion in a shell put kubectl_complete-adaptlet on the PATH:',
          '  ln -s ~/.krew/store/adaptlet/*/kubectl_complete-adaptlet ~/.krew/bin/',
          '',
        ].join('\n'),
        platforms: published.map(({ platform, archive, sha256 }) => ({
          selector: { matchLabels: { os: platform.os, arch: platform.arch } },
          uri: `${baseUrl.replace(/\/$/, '')}/${archive}`,
          sha256,
          bin: programOf(platform),
        })),
      },
    },
    { lineWidth: 0 },
  );
